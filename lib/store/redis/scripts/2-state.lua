-- Reads and writes what Redis keeps of one semaphore.
local function load(text, K, H, Q)
  if not text then
    return { K = K, H = H, Q = Q, limit = 0, used = 0, token = 0, place = 0, next = ENDLESS, ttl = 0, waiting = 0, waited = 0 }
  end
  local pinned, limit, used, token, place, waiting, next, ttl, inH, id, record =
    match(text, '^(p?)(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d) ?(%S*) ?(.*)$')
  return {
    K = K, H = H, Q = Q, pinned = pinned == 'p', limit = tonumber(limit), used = tonumber(used),
    token = tonumber(token), place = tonumber(place), waiting = tonumber(waiting), waited = tonumber(waiting),
    next = tonumber(next), ttl = tonumber(ttl), inH = inH == '1', id = id ~= '' and id, record = record,
  }
end

local function holder(s, id)
  if s.id then return s.id == id and s.record end
  return s.inH and s.used > 0 and call('HGET', s.H, '@' .. id)
end

-- Clients that wait know when the next lease ends; only an earlier end is news to them. They find out about
-- a provisional grant that lapsed when they ask next, which is soon enough.
local function hold(s, id, expiry, weight, token, acquired, state, owner)
  -- Not with %s: it would end a label at a NUL.
  local record = format('%.0f %d %.0f %.0f ', expiry, weight, token, acquired) .. state .. ' ' .. owner
  if s.id == id or s.used == 0 then
    s.id, s.record = id, record
  elseif s.id then
    write(s.K, 'HSET', s.H, '@' .. s.id, s.record, '@' .. id, record)
    s.id, s.inH, s.moved = false, true, true
  else
    write(s.K, 'HSET', s.H, '@' .. id, record)
  end
  if expiry < s.next then
    s.next = expiry
    s.news = s.waited > 0 and (state ~= 'p' or expiry < now + CLAIM_MS)
  end
  -- Twice as long as needed: then not every grant has to move it.
  if expiry + IDLE_TTL_MS > s.ttl then
    s.ttl = expiry == ENDLESS and ENDLESS or 2 * expiry - now + IDLE_TTL_MS
    s.moved = true
  end
  s.changed = true
end

local function alive(s, client)
  write(s.K, 'HSET', s.H, '~' .. client, nowText)
  s.inH, s.moved, s.changed = true, true, true
end

-- A removal of any number of things. @return how many there were
local function send(command, key, list)
  local count = 0
  for i = 1, #list, CHUNK do
    count = count + call(command, key, unpack(list, i, math.min(i + CHUNK - 1, #list)))
  end
  return count
end

local function save(s)
  local idle = s.used == 0 and s.waiting == 0
  if idle then
    s.place, s.next, s.ttl = 0, ENDLESS, now + IDLE_TTL_MS
  elseif s.waiting > 0 and now + WAITING_TTL_MS > s.ttl then
    s.ttl = now + 2 * WAITING_TTL_MS
    s.moved = true
  end
  if s.pinned then s.ttl = math.max(s.ttl, now + PINNED_TTL_MS) end
  -- A clock that was set back must not give a token again.
  s.ttl = math.max(s.ttl, math.ceil(s.token / 1000))
  local text = format('%s%d %d %.0f %.0f %d %.0f %.0f %d', s.pinned and 'p' or '', s.limit, s.used, s.token, s.place,
    s.waiting, s.next, s.ttl, s.inH and not idle and 1 or 0)
  if s.id then text = text .. ' ' .. s.id .. ' ' .. s.record end
  if s.ttl == ENDLESS then
    write(s.K, 'SET', s.K, text)
  else
    write(s.K, 'SET', s.K, text, 'PXAT', format('%.0f', s.ttl))
  end
  if not s.inH then return end
  if idle then
    call('DEL', s.H)
    return
  end
  if s.gone then call('HDEL', s.H, s.gone) end
  if s.moved then
    if s.ttl == ENDLESS then call('PERSIST', s.H) else call('PEXPIREAT', s.H, format('%.0f', s.ttl)) end
  end
  if s.news then
    for _, field in ipairs(call('HKEYS', s.H)) do
      if string.sub(field, 1, 1) == '~' then call('PUBLISH', prefix .. ':@' .. string.sub(field, 2), '?' .. s.K) end
    end
  end
end
