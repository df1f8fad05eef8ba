-- Goes on with what needs no more than the parts before; what is left is for the rest of the script.

while k <= #KEYS do
  local K, text, answer = KEYS[k], ARGV[a], nil
  local code = byte(text)
  if shared and (shared.K ~= K or code ~= ACQUIRE and code ~= RELEASE) then closeShared() end
  if not shared and K ~= looked then get = call('GET', K) end
  looked = nil
  if code == ACQUIRE or code == RELEASE then
    if not shared then answer = performAlone(code, K, KEYS[k + 1], get, text) end
    if not answer and (shared or get and byte(get) ~= IDLE) then
      if not takeShared then prepareShared() end
      answer = (code == RELEASE and giveBackShared or takeShared)(K, KEYS[k + 2], get, text)
    end
    isUsual = isUsual and answer == (code == RELEASE and 1 or least)
  elseif code == LOOK or code == PUBLISH then
    isUsual = false
    if not land then prepareFlights() end
    if code == LOOK then
      answer = look(KEYS[k + 1], get, text)
      looked = K
    else
      answer = land(k, a, get)
      if answer then
        answers[#answers + 1] = answer
        k, a = k + 3, a + 2
      end
    end
  end
  if not answer then break end
  answers[#answers + 1] = answer
  k, a = k + 3, a + 1
end
if k > #KEYS then
  closeShared()
  if isUsual and #own == 0 then return { now, least } end
  answers[#answers + 1] = own
  return answers
end
if shared then
  closeShared()
  get = call('GET', KEYS[k])
end
