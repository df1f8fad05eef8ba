-- What happens most: permits are taken, renewed and given back. No function is made on the way, because Lua makes an object of each
-- at every call, and one of each local that functions use; what is left is for the rest of the script.

local k, a = 1, 5
-- Of waiters that became holders: what the answer tells their own client, and what others are told.
local own, theirs = nil, nil
-- Whether all went as what happens most: those that were acquired got the token, those that were released were held. Their
-- answers are not kept.
local isUsual, answers = isOnTime, nil
if not isUsual then answers = { now } end
-- What K has: false for nothing, nil when that was not asked, or has changed. The K that was asked last.
local text, asked, isLeft, _ = nil, nil, false, nil
-- What the last acquisition said, and what it makes of a semaphore that nobody holds; at first what most say, those with default
-- options, which is not parsed then. Lua writes large numbers otherwise than they were said.
local terms, permits, weight, weightText, lease, room, priority = 'A1,1,30000,-1,0 ', 1, 1, '1', '30000', '-1', '0'
local alone, ttl, expiry = nil, '65000', nil
-- The semaphore at hand, when several hold it or wait, with its holders as they are in K: written when all operations on it
-- that follow one another are done.
local open, limit, token, used, place, waiting, soonest, life, kept, flags, holders
local isChanged, isEssential = false, false
-- Of single flights.
local readResult, headOf, tell, resultAfter, look, land

while true do
  local K, arg, code, answer = KEYS[k], ARGV[a], nil, nil
  if K then code = byte(arg) end
  local isPermit = code == ACQUIRE or code == RELEASE or code == RENEW
  if open and (isLeft or K ~= open or not isPermit) then
    include('close')
  end
  if isLeft or not K then break end

  if K ~= asked then text = nil end
  asked = nil
  if text == nil and not open then text = call('GET', K) end
  if isPermit then
    include('terms')
    if not open then
      include('alone')
    end
    if not answer and (open or text and byte(text) ~= IDLE) then
      include('shared')
    end
  elseif code == CANCEL then
    -- Who followed a single flight has left the queue with its end, and the next one may be under way.
    local by, member = match(arg, '^C(%S+) (.*)$')
    local isOther = text and byte(text) == ALONE and parse('<I7', text, TOKEN_AT + 7) > now and not find(text, by, CLIENT_AT, true)
    if text and (isOther or byte(text) == IDLE) and not call('ZSCORE', KEYS[k + 2], member) then answer = 1 end
  elseif code == LOOK or code == PUBLISH then
    if not land then
      include('flights')
    end
    if code == LOOK then
      answer = look(KEYS[k + 1], text, arg)
      asked = K
    else
      answer = land(k, a, text)
    end
  end

  if isUsual and (own or answer ~= (code == RELEASE and 1 or least)) then
    isUsual, answers = false, { now }
    for i = 5, a - 1 do answers[#answers + 1] = byte(ARGV[i]) == RELEASE and 1 or least end
  end
  if answer then
    if not isUsual then answers[#answers + 1] = answer end
    k, a = k + 3, a + 1
    if code == PUBLISH then
      -- It gave the permit back, too: the operation that follows.
      answers[#answers + 1] = answer
      k, a = k + 3, a + 2
    end
  else
    isLeft = true
  end
end
if k > #KEYS then
  if isUsual then return least end
  answers[#answers + 1] = own or {}
  return answers
end
if text == nil then text = call('GET', KEYS[k]) end
own, theirs = own or {}, {}
