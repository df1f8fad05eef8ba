-- Operations on semaphores, any number of them, each atomic, in the order in which they were issued.
--
-- KEYS  for each operation: K, H, Q; of a flight: K, R, Q (4b-flights.lua)
-- ARGV  prefix, client, notAfter, the highest token that the client knows,
--       then each operation: its code and arguments in one text (4-operations.lua)
-- returns { now, answer of the first operation, of the second, ..., grants }
--   now     this server's time in ms; alone in the answer when it is past notAfter: then nothing was done
-- or { now, token } when every operation is an acquire that got this token or a release that released: most calls are
--   grants  { id, token, expiry, acquired, limit, ... } of waiters of this client that became holders
--
-- K  string, packed, in one of three forms, which differ in their first byte:
--      IDLE   nobody holds or waits: limit, last token
--      ALONE  the commonest case, one holder that took it in the token's millisecond: limit, token, expiry, weight, client,
--             then its id and label
--      FULL   anything: limit, last token, weight held, last place in the queue, how many wait, no lease ends before,
--             K and H live until, flags, and up to INLINE holders, each id and record
-- H  hash    @id the record of a holder, when there were more · ~client last sign of life of a client that waits
--            !id when a waiter was dropped by force
-- Q  zset    waiters: member "id client weight lease priority label", score the place in the order of service
-- a record is expiry, weight, token, acquired, state, owner; state h held, p provisional, k released but kept
-- an owner is the client and the label; a label stands behind =, and is empty where there is none
-- a lease without an end is -, its expiry ENDLESS; all times are ms of this server's clock

local IDLE_TTL_MS, IDLE_TTL = 5000, '5000'
local IDLE, ALONE, IDLE_MARK = 1, 2, '\1'
local IDLE_FORM, ALONE_FORM = '<BI7I7', '<BI7I7I7I7Bc0'

-- Of ALONE: where token and expiry stand, and the length of the client's name; a label begins with =
local TOKEN_AT, CLIENT_AT, EQUALS = 9, 30, 61

local call, byte, sub, match, floor, ceil = redis.call, string.byte, string.sub, string.match, math.floor, math.ceil
local pack, parse = struct.pack, struct.unpack
local prefix, me = ARGV[1], ARGV[2]
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

-- What happens most needs none of the functions that follow, and little of what they would cost: a permit of a semaphore
-- that nobody else holds or waits for, taken and given back. Each returns nil when it is not that simple.

-- Of acquisitions with the same terms: those, the limit, what K begins with, its ttl as text (Redis is slow to make one of
-- a number), and the end of the lease. None when they are not that simple.
local terms, limit, alone, ttl, expiry = false, nil, nil, nil, nil

local function readTerms(arg)
  local permits, weight, lease
  terms, permits, weight, lease = match(arg, '^(A(%d+),(%d+),([^,]+),%S+ )')
  alone, limit = nil, tonumber(permits)
  -- A token that is ahead of the clock does not tell when it was given.
  if lease == '-' or tonumber(weight) > limit or floor(least / 1000) ~= now then return end
  expiry = ceil(now + lease)
  ttl = string.format('%.0f', 2 * (expiry - now) + IDLE_TTL_MS)
  alone = pack(ALONE_FORM, ALONE, limit, least, expiry, weight, #me, me)
end

local function take(K, text, arg)
  if not terms or sub(arg, 1, #terms) ~= terms then readTerms(arg) end
  if not alone then return nil end
  local _, previous, last
  if text then
    if byte(text) ~= IDLE then return nil end
    _, previous, last = parse(IDLE_FORM, text)
    if last >= least then return nil end
  end
  call('SET', K, alone .. sub(arg, #terms + 1), 'PX', ttl)
  if not previous or previous == 0 or previous == limit then return least end
  return { 1, previous, least, expiry, now, limit }
end

local function giveBack(K, H, text, arg)
  if not text or byte(text) == IDLE then return 0 end
  if byte(text) ~= ALONE then return nil end
  local at = CLIENT_AT + 1 + byte(text, CLIENT_AT)
  local after = at + #arg - 1
  if sub(text, at, after - 1) ~= sub(arg, 2) or after <= #text and byte(text, after) ~= EQUALS then return nil end
  local token, expiry = parse('<I7I7', text, TOKEN_AT)
  if expiry <= now or token > micros then return nil end
  write(H, 'SET', K, IDLE_MARK .. sub(text, 2, TOKEN_AT + 6), 'PX', IDLE_TTL)
  return 1
end

-- Defines the rest, when it is needed.
local function prepare()
