-- Operations on semaphores, any number of them, each atomic, in the order in which they were issued.
--
-- KEYS  for each operation: K, H, Q; of a flight: K, R, Q (4b-flights.lua)
-- ARGV  prefix, client, notAfter, the highest token that the client knows,
--       then each operation: its code and arguments in one text (4-operations.lua)
-- returns { now, answer of the first operation, of the second, ..., grants }
--   now     this server's time in ms; alone in the answer when it is past notAfter: then nothing was done
--   grants  { id, token, expiry, acquired, limit, ... } of waiters of this client that became holders
--
-- K  string, packed, in one of three forms, which differ in their first byte:
--      IDLE   nobody holds or waits: limit, last token
--      ALONE  the commonest case, one holder that took it in the token's millisecond: limit, token, weight, expiry, id, owner
--      FULL   anything: limit, last token, weight held, last place in the queue, how many wait, no lease ends before,
--             K and H live until, flags, and up to INLINE holders, each id and record
-- H  hash    @id the record of a holder, when there were more · ~client last sign of life of a client that waits
--            !id when a waiter was dropped by force
-- Q  zset    waiters: member "id client weight lease priority label", score the place in the order of service
-- a record is expiry, weight, token, acquired, state, owner; state h held, p provisional, k released but kept
-- an owner is the client and the label; a label stands behind =, and is empty where there is none
-- a lease without an end is -, its expiry ENDLESS; all times are ms of this server's clock

local IDLE_TTL_MS, IDLE_TTL = 5000, '5000'
local IDLE, ALONE = 1, 2
local IDLE_FORM, ALONE_FORM = '<BI7I7', '<BI7I7I7I7Bc0'

local call, byte, match, floor, ceil = redis.call, string.byte, string.match, math.floor, math.ceil
local pack, parse = struct.pack, struct.unpack
local prefix, me = ARGV[1], ARGV[2]
local mine = pack('Bc0', #me, me)
local time = call('TIME')
local micros = time[1] * 1000000 + time[2]
local now = floor(micros / 1000)
if now > tonumber(ARGV[3]) then return { now } end
local least = math.max(micros, ARGV[4] + 1)
local essential

-- A full memory refuses every write that may need some, also those that give back or keep what is held. After a write
-- that needs none Redis lets a script go on.
local function write(H, ...)
  local reply = redis.pcall(...)
  if type(reply) ~= 'table' or not reply.err then return end
  if essential and string.find(reply.err, 'OOM', 1, true) then call('HDEL', H, '') end
  call(...)
end

-- Of a state with one holder and this lease, as text: Redis is slow to make one of a number.
local ttl, ttlLease

-- What happens most needs none of the functions that follow, and little of what they would cost: a permit of a semaphore
-- that nobody else holds or waits for, taken and given back. Each returns nil when it is not that simple.

local function take(K, text, arg)
  local id, permits, weight, lease, label = match(arg, '^A(%S+) (%d+) (%d+) (%S+) %S+ %S+ %S+ (.*)$')
  local form, limit, last
  if text then
    form, limit, last = parse(IDLE_FORM, text)
    if form ~= IDLE then return nil end
  end
  if lease == '-' or tonumber(weight) > tonumber(permits) then return nil end
  local token = last and last >= least and last + 1 or least
  if floor(token / 1000) ~= now then return nil end
  local expiry = ceil(now + lease)
  if lease ~= ttlLease then ttlLease, ttl = lease, string.format('%.0f', 2 * (expiry - now) + IDLE_TTL_MS) end
  call('SET', K, pack(ALONE_FORM, ALONE, permits, token, weight, expiry, #id, id) .. mine .. label,
    'PX', ttl)
  if not limit or limit == 0 or limit == tonumber(permits) then return token end
  return { 1, limit, token, expiry, now, tonumber(permits) }
end

local function giveBack(K, H, text, arg)
  if not text or byte(text) == IDLE then return 0 end
  if byte(text) ~= ALONE then return nil end
  local _, limit, token, _, expiry, id = parse(ALONE_FORM, text)
  local released, keepMs, passed = match(arg, '^R(%S+) (%S+) (%d+)$')
  if id ~= released then return 0 end
  if passed ~= '0' or expiry <= now or floor(token / 1000) + keepMs > now or token > micros then return nil end
  write(H, 'SET', K, pack(IDLE_FORM, IDLE, limit, token), 'PX', IDLE_TTL)
  return 1
end

-- Defines the rest, when it is needed.
local function prepare()
