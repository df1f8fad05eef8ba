-- Operations on semaphores, any number of them, each atomic, in the order in which they were issued.
--
-- KEYS  for each operation: K, H, Q
-- ARGV  prefix, client, notAfter, the highest token that the client knows,
--       then for each operation its code and arguments (4-operations.lua)
-- returns { now, answer of the first operation, of the second, ..., grants }
--   now     this server's time in ms; alone in the answer when it is past notAfter: then nothing was done
--   grants  { id, token, expiry, acquired, ... } of waiters of this client that became holders
--
-- K  string  "limit used token place waiting next until inH holder": the limit, with a p in front when it is pinned; the weight
--            held; the last token; the last place in the queue; how many wait; no lease ends before; K and H live
--            until; 1 when there is an H; the holder "id record" when there is just one
-- H  hash    @id the record of a holder, when there were several · ~client last sign of life of a client that waits
--            !id when a waiter was dropped by force
-- Q  zset    waiters: member "id client weight lease priority label", score the place in the order of service
-- a record is "expiry weight token acquired state client label"; state h held, p provisional, k released but kept
-- a label stands behind =, and is empty where there is none
-- a lease without an end is -, its expiry ENDLESS; all times are ms of this server's clock

local ENDLESS = 1e15
local CLAIM_MS = 2000
local DEAD_MS = 3400
local DROPPED_MS = 10000
local WAITING_TTL_MS = 60000
local IDLE_TTL_MS = 5000
local PINNED_TTL_MS = 31536000000
local PLACES_PER_MS = 16
local PLACES_PER_PRIORITY = 2 ^ 34
local CHUNK = 1000

local mine, theirs = {}, {}
local call, match, format = redis.call, string.match, string.format
local prefix, me = ARGV[1], ARGV[2]
local time = call('TIME')
local micros = time[1] * 1000000 + time[2]
local now = math.floor(micros / 1000)
if now > tonumber(ARGV[3]) then return { now } end
local floor = math.max(micros, ARGV[4] + 1)
local essential
local nowText, idleUntilText, ENDLESS_TEXT = format('%.0f', now), format('%.0f', now + IDLE_TTL_MS), '1000000000000000'


-- A full memory refuses every write that may need some, also those that give back or keep what is held. After a write
-- that needs none Redis lets a script go on.
local function write(K, ...)
  local reply = redis.pcall(...)
  if type(reply) ~= 'table' or not reply.err then return end
  if essential and string.find(reply.err, 'OOM', 1, true) then call('PEXPIRE', K, IDLE_TTL_MS) end
  call(...)
end

-- What happens most needs none of the functions that follow, and most of what they would cost: a permit of a semaphore
-- that nobody else holds or waits for, taken and given back. Each returns nil when it is not that simple.

local function take(K, text, a)
  local permits, limit, last = ARGV[a + 1]
  if text then
    limit, last = match(text, '^(%d+) 0 (%d+) 0 0 ')
    if not limit then return nil end
  end
  local id, client, weight, lease, _, label = match(ARGV[a], '^(%S+) (%S+) (%S+) (%S+) (%S+) (.*)$')
  if lease == '-' or tonumber(weight) > tonumber(permits) then return nil end
  local token = last and tonumber(last) >= floor and last + 1 or floor
  if token > micros + IDLE_TTL_MS * 1000 then return nil end
  local expiry = math.ceil(now + lease)
  local tokenText, expiryText = format('%.0f', token), format('%.0f', expiry)
  local untilText = format('%.0f', 2 * expiry - now + IDLE_TTL_MS)
  call('SET', K, permits .. ' ' .. weight .. ' ' .. tokenText .. ' 0 0 ' .. expiryText .. ' ' .. untilText .. ' 0 '
    .. id .. ' ' .. expiryText .. ' ' .. weight .. ' ' .. tokenText .. ' ' .. nowText .. ' h ' .. client .. ' ' .. label,
    'PXAT', untilText)
  return { 1, token, expiry, now, limit and limit ~= permits and limit ~= '0' and tonumber(limit) or -1 }
end

local function giveBack(K, text, a)
  if not text then return 0 end
  local limit, token, id, expiry, acquired = match(text, '^(%d+) %d+ (%d+) %d+ 0 %d+ %d+ 0 (%S+) (%S+) %S+ %S+ (%S+) h ')
  if id ~= ARGV[a] or tonumber(expiry) <= now or acquired + ARGV[a + 1] > now then return nil end
  if tonumber(token) > micros + IDLE_TTL_MS * 1000 then return nil end
  write(K, 'SET', K, limit .. ' 0 ' .. token .. ' 0 0 ' .. ENDLESS_TEXT .. ' ' .. idleUntilText .. ' 0', 'PXAT', idleUntilText)
  return 1
end
