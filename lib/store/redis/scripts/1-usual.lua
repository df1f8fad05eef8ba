-- What happens most: permits are taken and given back. No function is made on the way, because Lua makes an object of each
-- at every call, and one of each local that functions use; what is left is for the rest of the script.

local answers, k, a = { now }, 1, 5
-- Of waiters that became holders: what the answer tells their own client, and what others are told.
local own, theirs = nil, nil
-- Whether all went as what happens most: those that were acquired got the token, those that were released were held. Their
-- answers are not kept.
local isUsual = isOnTime
-- What K has: false for nothing, nil when that was not asked, or has changed. The K that was asked last.
local text, asked, isLeft, _ = nil, nil, false, nil
-- What the last acquisition said, and what it makes of a semaphore that nobody holds. Lua writes large numbers otherwise than
-- they were said.
local terms, permits, weight, weightText, lease, room, told, priority = '?', nil, nil, nil, nil, nil, nil, nil
local alone, ttl, expiry = nil, nil, nil
-- The semaphore at hand, when several hold it or wait, with its holders as they are in K: written when all operations on it
-- that follow one another are done.
local open, limit, token, used, place, waiting, soonest, life, kept, flags, holders
local isChanged, isEssential = false, false
-- Of single flights.
local readResult, headOf, tell, resultAfter, look, land

while true do
  local K, arg, code, answer = KEYS[k], ARGV[a], nil, nil
  if K then code = byte(arg) end
  local isPermit = code == ACQUIRE or code == RELEASE
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
    isUsual = false
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
