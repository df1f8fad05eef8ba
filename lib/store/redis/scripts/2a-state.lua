local CHUNK = 1000
local INLINE = 32
local PINNED_TTL_MS = 31536000000
local TOKENS_A_GRANT = 1000

local defineSeldom, defined

-- What is seldom needed, by name: the folder 5-seldom is the body of defineSeldom. To define that takes about as long as all
-- that a usual call does.
local function seldom()
  defined = defined or defineSeldom()
  return defined
end

-- Reads and writes what Redis keeps of one semaphore.

-- @return expiry, weight, token, acquired, state, where the owner begins
local function fieldsOf(text)
  return parse(RECORD_FORM, text)
end

-- @return client, label of a record
local function partsOf(text)
  local _, _, _, _, _, client, at = parse(RECORD_FORM .. 'Bc0', text)
  return client, sub(text, at)
end

local function clientOf(text)
  return (partsOf(text))
end

-- kept is the ttl that K has, when it is known; holders are those in K, by id, and count how many; many when all are in H.
local function load(text, K, H, Q)
  local s = {
    K = K, H = H, Q = Q, limit = 0, token = 0, used = 0, place = 0, waiting = 0, next = ENDLESS, ttl = 0,
    holders = {}, count = 0,
  }
  if not text then return s end
  local form, at = byte(text), nil
  if form == FULL then
    local flags
    form, s.limit, s.token, s.used, s.place, s.waiting, s.next, s.ttl, flags, at = parse(FULL_FORM, text)
    s.pinned, s.inH, s.many = flags % 2 >= PINNED, flags % 4 >= IN_H, flags >= MANY
    s.kept = s.ttl
    while at <= #text do
      local id, held
      id, held, at = parse(HOLDER_FORM, text, at)
      s.holders[id] = held
      s.count = s.count + 1
    end
  elseif form == ALONE then
    local client
    form, s.limit, s.token, s.next, s.used, client, at = parse(ALONE_FORM, text)
    local id, label = match(text, '^([^=]+)(.*)$', at)
    s.holders[id] = record(s.next, s.used, s.token, floor(s.token / 1000), 'h', ownerOf(client, label))
    s.count, s.ttl = 1, s.next + IDLE_TTL_MS
  else
    form, s.limit, s.token = parse(IDLE_FORM, text)
  end
  return s
end

local function holder(s, id)
  return s.holders[id] or s.many and call('HGET', s.H, '@' .. id)
end

-- Clients that wait know when the next lease ends; only an earlier end is news to them. They find out about
-- a provisional grant that lapsed when they ask next, which is soon enough.
local function hold(s, id, expiry, weight, token, acquired, state, owner)
  local text = record(expiry, weight, token, acquired, state, owner)
  if s.many then
    write(s.H, 'HSET', s.H, '@' .. id, text)
  else
    if not s.holders[id] then s.count = s.count + 1 end
    s.holders[id] = text
    if s.count > INLINE then
      local fields = {}
      for other, held in pairs(s.holders) do
        fields[#fields + 1] = '@' .. other
        fields[#fields + 1] = held
      end
      write(s.H, 'HSET', s.H, unpack(fields))
      s.holders, s.count, s.many, s.inH, s.moved = {}, 0, true, true, true
    end
  end
  if expiry < s.next then
    s.next = expiry
    s.news = s.news or s.waiting > 0 and (state ~= 'p' or expiry < now + CLAIM_MS)
  end
  -- Twice as long as needed: then not every grant has to move it.
  if expiry + IDLE_TTL_MS > s.ttl then s.ttl = expiry == ENDLESS and ENDLESS or 2 * expiry - now + IDLE_TTL_MS end
  s.changed = true
end

local function remove(s, id)
  if s.many then
    call('HDEL', s.H, '@' .. id)
  else
    s.holders[id] = nil
    s.count = s.count - 1
  end
end

local function encode(s)
  if s.waiting == 0 and not s.inH and not s.pinned then
    if s.used == 0 then return pack(IDLE_FORM, IDLE, s.limit, s.token) end
    if s.count == 1 then
      local id, held = next(s.holders)
      local expiry, weight, token, acquired, state = fieldsOf(held)
      if state == 'h' and expiry < ENDLESS and token == s.token and acquired == floor(token / 1000) then
        local client, label = partsOf(held)
        return pack(ALONE_FORM, ALONE, s.limit, token, expiry, weight, #client, client) .. id .. label
      end
    end
  end
  local flags = (s.pinned and PINNED or 0) + (s.inH and IN_H or 0) + (s.many and MANY or 0)
  local parts = { pack(FULL_FORM, FULL, s.limit, s.token, s.used, s.place, s.waiting, s.next, s.ttl, flags) }
  for id, held in pairs(s.holders) do
    parts[#parts + 1] = pack(HOLDER_FORM, #id, id, #held, held)
  end
  return table.concat(parts)
end

local function save(s)
  local idle = s.used == 0 and s.waiting == 0
  local hadH = s.inH
  if idle then
    s.place, s.next, s.ttl, s.inH, s.many = 0, ENDLESS, now + IDLE_TTL_MS, false, false
  elseif s.waiting > 0 and now + WAITING_TTL_MS > s.ttl then
    s.ttl = now + 2 * WAITING_TTL_MS
  end
  if s.pinned then s.ttl = math.max(s.ttl, now + PINNED_TTL_MS) end
  -- A clock that was set back must not give a token again.
  s.ttl = math.max(s.ttl, ceil(s.token / 1000))
  if s.ttl == ENDLESS then
    write(s.H, 'SET', s.K, encode(s))
  elseif s.ttl == s.kept then
    write(s.H, 'SET', s.K, encode(s), 'KEEPTTL')
  else
    write(s.H, 'SET', s.K, encode(s), 'PXAT', string.format('%.0f', s.ttl))
  end
  if idle and hadH then call('DEL', s.H) end
  if not s.inH then return end
  if s.moved or s.ttl ~= s.kept then
    if s.ttl == ENDLESS then call('PERSIST', s.H) else call('PEXPIREAT', s.H, string.format('%.0f', s.ttl)) end
  end
  if s.news then
    for _, field in ipairs(call('HKEYS', s.H)) do
      if sub(field, 1, 1) == '~' then call('PUBLISH', prefix .. ':@' .. sub(field, 2), '?' .. s.K) end
    end
  end
end
