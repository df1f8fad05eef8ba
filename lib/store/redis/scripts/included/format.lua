-- What Redis keeps of one semaphore, and how it is packed: for every script, and of the numbers for TypeScript too.
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
local IDLE, ALONE, FULL, IDLE_MARK = 1, 2, 3, '\1'
local IDLE_FORM, ALONE_FORM, FULL_FORM = '<BI7I7', '<BI7I7I7I7Bc0', '<BI7I7I7I7I4I7I7B'
-- Of ALONE: where token and expiry stand, and the length of the client's name; a label begins with =
local TOKEN_AT, CLIENT_AT, EQUALS = 9, 30, 61
-- A record up to its owner, a holder's id and record, and both with all that is in them.
local RECORD_FORM, RECORD_BYTES, HOLDER_FORM = '<I7I7I7I7c1', 29, '<Bc0Hc0'
local HELD_FORM = '<Bc0HI7I7I7I7c1Bc0'
-- Flags of FULL: the limit is pinned, H is there, all holders are in H.
local PINNED, IN_H, MANY = 1, 2, 4
local ENDLESS = 1e15
-- Of a place in the order of service, which tells when it was taken.
local PLACES_PER_MS = 16
local PLACES_PER_PRIORITY = 2 ^ 34
