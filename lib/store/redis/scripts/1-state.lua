-- Operations on semaphores, any number of them, each atomic, in the order in which they were issued.
--
-- KEYS  for each operation: K, Q
-- ARGV  prefix, client, notAfter, the highest token that the client knows,
--       then for each operation its code and arguments (3-operations.lua)
-- returns { now, answer of the first operation, of the second, ..., grants }
--   now     this server's time in ms; alone in the answer when it is past notAfter: then nothing was done
--   grants  { id, token, expiry, acquired, ... } of waiters of this client that became holders
--
-- K  hash  l limit · p 1 when it is pinned · u weight held · t last token · s last place in the queue
--          w 1 when somebody may wait · x no lease ends before · y K lives until
--          @id a holder · ~client last sign of life of a client that waits
-- Q  zset  waiters: member "id client weight lease priority label", score the place in the order of service
-- a holder is "expiry weight token acquired state client label"; state h held, p provisional, k released but kept
-- a label stands behind =, and is empty where there is none
-- a lease without an end is -, its expiry ENDLESS; all times are ms of this server's clock

local ENDLESS = 1e15
local CLAIM_MS = 2000
local DEAD_MS = 3400
local WAITING_TTL_MS = 60000
local IDLE_TTL_MS = 5000
local PINNED_TTL_MS = 31536000000
local PLACES_PER_MS = 16
local PLACES_PER_PRIORITY = 2 ^ 34
local CHUNK = 1000

local call, match, format = redis.call, string.match, string.format
local prefix, me = ARGV[1], ARGV[2]
local time = call('TIME')
local micros = time[1] * 1000000 + time[2]
local now = math.floor(micros / 1000)
if now > tonumber(ARGV[3]) then return { now } end
local floor = math.max(micros, ARGV[4] + 1)

local mine, theirs = {}, {}

local function load(K, Q, id)
  local f = call('HMGET', K, 'l', 'p', 'u', 't', 's', 'w', 'x', 'y', '@' .. id)
  return {
    K = K, Q = Q, id = id, read = f, holder = f[9],
    limit = tonumber(f[1] or 0), pinned = f[2] == '1', used = tonumber(f[3] or 0),
    token = tonumber(f[4] or 0), place = tonumber(f[5] or 0), waiting = f[6] == '1', waited = f[6] == '1',
    next = tonumber(f[7] or ENDLESS), ttl = tonumber(f[8] or 0), live = 0,
    sets = {}, gone = {},
  }
end

local function set(s, field, value)
  local sets = s.sets
  sets[#sets + 1] = field
  sets[#sets + 1] = value
  s.changed = true
end

-- A whole number in full: tostring would round it to 14 digits.
local function whole(value)
  return format('%.0f', value)
end

-- Clients that wait know when the next lease ends; only an earlier end is news to them. They find out about
-- a provisional grant that lapsed when they ask next, which is soon enough.
local function hold(s, id, expiry, weight, token, acquired, state, owner)
  -- Not with %s: it would end a label at a NUL.
  set(s, '@' .. id, format('%.0f %d %.0f %.0f ', expiry, weight, token, acquired) .. state .. ' ' .. owner)
  if expiry < s.next then
    s.next = expiry
    s.news = s.waited and state ~= 'p'
  end
  -- Twice as long as needed: then not every grant has to move it.
  if expiry + IDLE_TTL_MS > s.ttl then
    s.live = math.max(s.live, expiry == ENDLESS and ENDLESS or 2 * expiry - now + IDLE_TTL_MS)
  end
end

local function send(command, key, list)
  for i = 1, #list, CHUNK do
    call(command, key, unpack(list, i, math.min(i + CHUNK - 1, #list)))
  end
end

-- The write that a full memory refuses comes first: then nothing else of the operation has been written.
local function save(s)
  local gone = s.gone
  if s.used <= 0 and not s.waiting then
    s.live = now + (s.pinned and PINNED_TTL_MS or IDLE_TTL_MS)
    s.ttl = 0
    for _, field in ipairs({ 'u', 's', 'w', 'x', 'y' }) do gone[#gone + 1] = field end
  else
    if s.waiting and now + WAITING_TTL_MS > s.ttl then s.live = math.max(s.live, now + 2 * WAITING_TTL_MS) end
    if s.used ~= tonumber(s.read[3]) then set(s, 'u', s.used) end
    if s.next ~= tonumber(s.read[7]) then set(s, 'x', whole(s.next)) end
    if s.waiting ~= s.waited then set(s, 'w', s.waiting and '1' or '0') end
    if s.live > s.ttl then set(s, 'y', whole(s.live)) end
  end
  if s.granted then set(s, 't', whole(s.token)) end
  send('HSET', s.K, s.sets)
  send('HDEL', s.K, gone)
  if s.live == ENDLESS then
    call('PERSIST', s.K)
  elseif s.live > s.ttl then
    call('PEXPIREAT', s.K, whole(s.live))
  end
  if s.news then
    for _, field in ipairs(call('HKEYS', s.K)) do
      if string.sub(field, 1, 1) == '~' then call('PUBLISH', prefix .. ':@' .. string.sub(field, 2), '?' .. s.K) end
    end
  end
end
