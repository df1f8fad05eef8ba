-- What leaders of single flights publish. Their keys are K, R and Q: K and Q are of the semaphore whose holder leads and whose
-- waiters follow.
--
-- R  string  "token fresh stale payload": the token of the holder that published; until when it is fresh, and may be used
--            at all; a payload of ! makes void what holders with older tokens publish
local flights = {}
-- K as W leaves it, for the release that follows: without waiters that is done in no time.
local ahead = {}
local KEEP_MS = 10000
local FORGOTTEN_MS = 86400000
local INLINE_BYTES = 1048576
local VOID = '!'

-- Who leads now, and the token.
local function leader(text)
  if not text then return nil end
  local id, expiry, token = match(text, '^%S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ (%S+) (%S+) %S+ (%S+) ')
  if id and tonumber(expiry) > now then return id, tonumber(token) end
end

local function published(R)
  local text = call('GET', R)
  if not text then return nil, 0, 0 end
  local token, stale, from = match(text, '^(%d+) %d+ (%d+) ()')
  return text, tonumber(token), tonumber(stale), from
end

-- S  seen: returns { isLed, waiting, text of R }, without the payload when it cannot be used and is not after seen
flights.S = function(text, _, R, _, a)
  local result, token, stale, from = published(R)
  if result and stale <= now and token <= tonumber(ARGV[a]) then result = string.sub(result, 1, from - 1) end
  local waiting = text and match(text, '^%S+ %S+ %S+ %S+ (%S+)') or 0
  return { leader(text) and 1 or 0, tonumber(waiting), result or '' }
end

-- W  id freshMs staleMs payload: publishes · returns 0 when the id does not lead any more
flights.W = function(text, K, R, Q, a)
  local id, token = leader(text)
  if id ~= ARGV[a] then return 0 end
  local fresh = now + ARGV[a + 1]
  local stale = fresh + ARGV[a + 2]
  local payload = ARGV[a + 3]
  local result, last, usable, from = published(R)
  local isVoid = last > token
  if isVoid and string.sub(result, from) ~= VOID then return 0 end
  local head = format('%.0f %.0f %.0f ', token, fresh, stale)
  -- What nobody may use later does not take the place of what can still be used.
  if not isVoid and (stale > now or usable <= now) then
    -- Not when the memory is full: who waits gets it all the same.
    redis.pcall('SET', R, head .. payload, 'PX', format('%.0f', math.max(stale - now, KEEP_MS)))
  end
  local lastPlace = isVoid and format('%.0f', math.floor(last * PLACES_PER_MS / 1000)) or '+inf'
  local message = '=' .. K .. head .. (#payload <= INLINE_BYTES and '+' .. payload or '')
  local members, told = call('ZRANGE', Q, '-inf', lastPlace, 'BYSCORE'), {}
  for _, member in ipairs(members) do
    local client = match(member, '^%S+ (%S+)')
    if not told[client] then call('PUBLISH', prefix .. ':@' .. client, message) end
    told[client] = true
  end
  if isVoid then
    for _, member in ipairs(members) do call('ZREM', Q, member) end
  elseif #members > 0 then
    -- What is kept of clients that wait goes with them.
    call('DEL', Q, K .. ':h')
    ahead[K] = string.gsub(text, '^(%S+ %S+ %S+ %S+) %S+ (%S+ %S+) %S+', '%1 0 %2 0', 1)
  end
  return 1
end

-- X: forgets
flights.X = function(text, _, R)
  local id, token = leader(text)
  if id then
    call('SET', R, format('%.0f 0 0 ', math.max(micros, token + 1)) .. VOID, 'PX', FORGOTTEN_MS)
  else
    call('DEL', R)
  end
  return 1
end

-- Defines the rest, when it is needed.
local function prepare()

