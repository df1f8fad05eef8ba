-- Operations on semaphores, any number of them, each atomic, in the order in which they were issued.
--
-- KEYS  for each operation: K, H, Q; of a flight: K, R, Q (5-seldom/3-flights.lua)
-- ARGV  prefix, client, notAfter, the highest token that the client knows,
--       then each operation: its code and arguments in one text (4-operations.lua)
-- returns { now, answer of the first operation, of the second, ..., grants }
--   now     this server's time in ms; alone in the answer when it is past notAfter: then nothing was done
--   grants  { id, token, expiry, acquired, limit, ... } of waiters of this client that became holders
-- or the token alone, made of now, when every operation is an acquire that got it or a release that released: most calls are
-- What Redis keeps, and how: included/format.lua

-- Constants are put in where they are used, when the script is embedded: a local that functions use costs each call an object.
include('format')
local ACQUIRE, RELEASE, RENEW, CANCEL, LIMIT, POLL, PUBLISH, LOOK = 65, 82, 78, 67, 76, 80, 87, 83
local TOLD = 49
local IDLE_TTL_MS, IDLE_TTL = 5000, '5000'
local ROOM_BYTES = 2000
local CLAIM_MS, WAITING_TTL_MS = 2000, 60000
local KEEP_MS, KEEP = 10000, '10000'
local FORGOTTEN_MS = 86400000
-- Redis drops a connection with more than 8 MB that nobody has read for a minute.
local CARRIED_BYTES, CARRIED_UNKEPT_BYTES = 1048576, 8000000

local call, byte, sub, match, find = redis.call, string.byte, string.sub, string.match, string.find
local floor, ceil = math.floor, math.ceil
local pack, parse = struct.pack, struct.unpack
local prefix, me = ARGV[1], ARGV[2]
local time = call('TIME')
local micros = time[1] * 1000000 + time[2]
local now = floor(micros / 1000)
-- A sum reads a text as a number; tonumber would do it twice.
if now > ARGV[3] + 0 then return { now } end
local least = ARGV[4] + 1
if least < micros then least = micros end
-- Whether a token tells when it was given: one that is ahead of the clock does not.
local isOnTime = least < (now + 1) * 1000
