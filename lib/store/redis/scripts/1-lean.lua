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
  if text and byte(text) ~= IDLE then return nil end
  if not terms or sub(arg, 1, #terms) ~= terms then readTerms(arg) end
  if not alone then return nil end
  local _, previous, last
  if text then
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

-- @param code of the operation, text what K has · @return its answer, when it is that simple
local function performAlone(code, K, H, text, arg)
  essential = code == RELEASE
  if code == ACQUIRE then return take(K, text, arg) elseif essential then return giveBack(K, H, text, arg) end
end

local answers, k, a, get, looked = { now }, 1, 5, nil, nil
-- Whether all went as what happens most: those that were acquired got the token, those that were released were held.
local isUsual = true

while k <= #KEYS do
  local arg = ARGV[a]
  local code = byte(arg)
  looked = KEYS[k]
  get = call('GET', looked)
  local answer = performAlone(code, looked, KEYS[k + 1], get, arg)
  if not answer then break end
  isUsual = isUsual and answer == (code == RELEASE and 1 or least)
  answers[#answers + 1] = answer
  k, a = k + 3, a + 1
end
if k > #KEYS then
  if isUsual then return { now, least } end
  answers[#answers + 1] = {}
  return answers
end
