-- What happens most where several hold or wait, without what the rest would cost: a permit is taken that is free, or given
-- back and handed to the first who waits, and who comes to a semaphore that has none left stands at the end. Nothing is
-- parsed but the holder that leaves. All else is for the rest of the script, which finds the state as it was.

-- The semaphore at hand, with its holders as they are in K: written when all operations on it that follow one another are done.
local shared
local takeShared, giveBackShared

local function closeShared()
  local s = shared
  shared = nil
  if not s or not s.changed then return end
  essential = s.isEssential
  local H = s.K .. ':h'
  if s.used == 0 then
    write(H, 'SET', s.K, pack(IDLE_FORM, IDLE, s.limit, s.token), 'PX', IDLE_TTL)
    if s.flags == IN_H then call('DEL', H) end
  else
    if s.waiting > 0 and now + WAITING_TTL_MS > s.ttl then s.ttl = now + 2 * WAITING_TTL_MS end
    local head = pack(FULL_FORM, FULL, s.limit, s.token, s.used, s.place, s.waiting, s.next, s.ttl, s.flags)
    if s.ttl == s.kept then
      write(H, 'SET', s.K, head .. s.holders, 'KEEPTTL')
    else
      local ttl = string.format('%.0f', s.ttl)
      write(H, 'SET', s.K, head .. s.holders, 'PXAT', ttl)
      if s.flags == IN_H then call('PEXPIREAT', H, ttl) end
    end
  end
  tellTheirs()
end

-- Defines these, for calls that need them.
local function prepareShared()

local ROOM_BYTES = 2000
-- What the terms of the last who came say.
local seen, permits, weight, lease, room, told, priority, standing

local function holderText(id, expiry, weight, token, acquired, state, client, label)
  local held = record(expiry, weight, token, acquired, state, ownerOf(client, label))
  return pack(HOLDER_FORM, #id, id, #held, held)
end

-- @return the semaphore at hand, nil when it is not one of those
local function openShared(K, text)
  if shared then return shared end
  local _, limit, token, used, place, waiting, next, ttl, flags, at, kept, holders
  if byte(text) == FULL then
    _, limit, token, used, place, waiting, next, ttl, flags, at = parse(FULL_FORM, text)
    if flags ~= 0 and flags ~= IN_H then return nil end
    kept, holders = ttl, sub(text, at)
  else
    local client
    _, limit, token, next, used, client, at = parse(ALONE_FORM, text)
    local id, label = match(text, '^([^=]+)(.*)$', at)
    place, waiting, ttl, flags = 0, 0, next + IDLE_TTL_MS, 0
    holders = holderText(id, next, used, token, floor(token / 1000), 'h', client, label)
  end
  -- A token that is ahead of the clock has to be remembered until the clock is there.
  if now >= next or token > micros or floor(least / 1000) ~= now then return nil end
  shared = {
    K = K, limit = limit, token = token, used = used, place = place, waiting = waiting, next = next, ttl = ttl,
    flags = flags, kept = kept, holders = holders, changed = false, isEssential = false,
  }
  return shared
end

-- @return the weight of a holder that may leave, and the others
local function without(holders, id)
  local at, from = 1, nil
  repeat
    if at > #holders then return nil end
    from = at
    local size = byte(holders, at)
    local low, high = byte(holders, at + 1 + size, at + 2 + size)
    at = at + 3 + size + low + 256 * high
  until size == #id and sub(holders, from + 1, from + size) == id
  local expiry, weight, _, _, state = parse(RECORD_FORM, holders, from + 3 + #id)
  if state == 'k' or expiry == ENDLESS then return nil end
  return weight, sub(holders, 1, from - 1) .. sub(holders, at)
end

local function hold(s, others, id, expiry, weight, state, client, label)
  s.token = math.max(s.token + 1, least)
  s.holders = others .. holderText(id, expiry, weight, s.token, now, state, client, label)
  if expiry < s.next then s.next = expiry end
  if expiry + IDLE_TTL_MS > s.ttl then s.ttl = 2 * expiry - now + IDLE_TTL_MS end
  s.changed = true
end

local function readShared(terms)
  seen = terms
  permits, weight, lease, room, told, priority = match(terms, '^A(%d+),(%d+),([^,]+),([^,]+),(%d),(%S+) $')
  standing = table.concat({ '', me, weight, lease, priority, '' }, ' ')
  permits, weight = tonumber(permits), tonumber(weight)
end

function takeShared(K, Q, text, arg)
  local s = openShared(K, text)
  if not s then return nil end
  local at = find(arg, ' ', 1, true)
  local terms = sub(arg, 1, at)
  if terms ~= seen then readShared(terms) end
  if permits ~= s.limit then return nil end
  local id, label = match(arg, '^([^=]+)(.*)$', at + 1)
  if find(s.holders, id, 1, true) then return nil end
  local units = math.min(weight, permits)
  if s.used + units <= permits then
    if s.waiting > 0 or lease == '-' or #s.holders > ROOM_BYTES then return nil end
    hold(s, s.holders, id, endOf(lease), units, 'h', me, label)
    s.used = s.used + units
    return s.token
  end
  if room == '-2' then return { 2, -1, s.next } end
  if room ~= '-1' or told ~= '0' or s.flags ~= IN_H then return nil end
  local place, score = placeFor(s, priority)
  -- It may wait already. And what the refusal of a full memory means, the rest knows.
  if redis.pcall('ZADD', Q, 'NX', string.format('%.0f', score), id .. standing .. label) ~= 1 then return nil end
  if s.waiting == 0 then call('PEXPIRE', Q, WAITING_TTL_MS) end
  s.waiting, s.place, s.changed, s.isEssential = s.waiting + 1, place, true, true
  return { 0, -1, score, s.next }
end

function giveBackShared(K, Q, text, arg)
  local s = openShared(K, text)
  if not s then return nil end
  local free, others = without(s.holders, sub(arg, 2))
  if not free then return nil end
  if s.waiting == 0 then
    s.used, s.holders, s.changed, s.isEssential = s.used - free, others, true, true
    if s.used == 0 then s.next, s.ttl = ENDLESS, now + IDLE_TTL_MS end
    return 1
  end
  local first = call('ZPOPMIN', Q)
  if #first == 0 then return nil end
  local id, client, wanted, lease, _, label = waiter(first[1])
  local isOwn = client == me
  local expiry = (isOwn and endOf or endOfClaim)(lease)
  wanted = math.min(tonumber(wanted), s.limit)
  local used = s.used - free + wanted
  local isLast = used == s.limit or used < s.limit and s.waiting == 1
  -- Those that wait must hear of an earlier end of a lease.
  local isNews = expiry < s.next and (isOwn or expiry < now + CLAIM_MS)
  if not isLast or isNews or expiry == ENDLESS or find(others, id, 1, true) then
    call('ZADD', Q, first[2], first[1])
    call('PEXPIRE', Q, WAITING_TTL_MS)
    return nil
  end
  hold(s, others, id, expiry, wanted, isOwn and 'h' or 'p', client, label)
  s.used, s.waiting, s.isEssential = used, s.waiting - 1, true
  announce(s, client, id, expiry, s.token, now)
  return 1
end

end
