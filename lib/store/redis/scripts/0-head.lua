-- Operations on semaphores, any number of them, each atomic, in the order in which they were issued.
--
-- KEYS  for each operation: K, H, Q; of a flight: K, R, Q (5-seldom/3-flights.lua)
-- ARGV  prefix, client, notAfter, the highest token that the client knows,
--       then each operation: its code and arguments in one text (4-operations.lua)
-- returns { now, answer of the first operation, of the second, ..., grants }
--   now     this server's time in ms; alone in the answer when it is past notAfter: then nothing was done
--   grants  { id, token, expiry, acquired, limit, ... } of waiters of this client that became holders
-- or the token alone, made of now, when every operation is an acquire that got it or a release that released: most calls are
--
-- K  string, packed, in one of three forms, which differ in their first byte:
--      IDLE   nobody holds or waits: limit, last token
--      ALONE  the commonest case, one holder that took it in the token's millisecond: limit, token, expiry, weight, client,
--             then its id and label
--      FULL   anything: limit, last token, weight held, last place in the queue, how many wait, when to look next for leases
--             that are over, K and H live until, flags, and up to INLINE holders, each id and record
-- H  hash    @id the record of a holder, when there were more · ~client last sign of life of a client that waits
--            = the limit passed last by who waits, while another one is pinned
-- Q  zset    waiters: member "id client weight lease priority label", score the place in the order of service
-- K:id:d     for KEEP_MS, that a waiter was dropped by force, or what it did not know it held was taken or released by others
-- a record is expiry, weight, token, acquired, state, owner; state h held, p provisional, k released but kept
-- an owner is the client and the label; a label stands behind =, and is empty where there is none
-- a lease without an end is -, its expiry ENDLESS; all times are ms of this server's clock

-- Constants are put in where they are used, when the script is embedded: a local that functions use costs each call an object.
local IDLE_TTL_MS, IDLE_TTL = 5000, '5000'
local IDLE, ALONE, FULL, IDLE_MARK = 1, 2, 3, '\1'
local IDLE_FORM, ALONE_FORM, FULL_FORM = '<BI7I7', '<BI7I7I7I7Bc0', '<BI7I7I7I7I4I7I7B'
local ACQUIRE, RELEASE, LIMIT, POLL, PUBLISH, LOOK = 65, 82, 76, 80, 87, 83
local RECORD_FORM, RECORD_BYTES, HOLDER_FORM = '<I7I7I7I7c1', 29, '<Bc0Hc0'
local HELD_FORM = '<Bc0HI7I7I7I7c1Bc0'
local ROOM_BYTES = 2000
local PINNED, IN_H, MANY = 1, 2, 4
local CLAIM_MS, WAITING_TTL_MS = 2000, 60000
local ENDLESS = 1e15
local PLACES_PER_MS = 16
local PLACES_PER_PRIORITY = 2 ^ 34
local KEEP_MS, KEEP = 10000, '10000'
local FORGOTTEN_MS = 86400000
local CARRIED_BYTES = 1048576

-- Of ALONE: where token and expiry stand, and the length of the client's name; a label begins with =
local TOKEN_AT, CLIENT_AT, EQUALS = 9, 30, 61

local call, byte, sub, match, find = redis.call, string.byte, string.sub, string.match, string.find
local floor, ceil = math.floor, math.ceil
local pack, parse = struct.pack, struct.unpack
local prefix, me = ARGV[1], ARGV[2]
local time = call('TIME')
local micros = time[1] * 1000000 + time[2]
local now = floor(micros / 1000)
if now > tonumber(ARGV[3]) then return { now } end
local least = math.max(micros, ARGV[4] + 1)
-- Whether a token tells when it was given: one that is ahead of the clock does not.
local isOnTime = floor(least / 1000) == now
