local ACQUIRE, RELEASE, LIMIT, POLL, PUBLISH = byte('ARLPW', 1, 5)
local OF_FLIGHTS = { S = true, W = true, X = true }
local states = {}

-- Whoever became free by one release or several is handed on before any other operation may see it.
local function perform(code, text, k, a, get)
  local K = KEYS[k]
  local s = states[K]
  if not s then
    s = load(get, K, K .. ':h', KEYS[k + 2])
    if now >= s.next then seldom().sweep(s) end
    s.due = s.changed
    states[K] = s
  end
  if s.due and code ~= RELEASE then admit(s) end
  local name = string.char(code)
  if OF_FLIGHTS[name] then
    s.R = KEYS[k + 1]
    if not land then prepareFlights() end
  end
  s.failing = true
  local operation = operations[name] or seldom().operations[name]
  local answer = operation(s, text, a)
  s.failing = false
  s.due = s.changed
  return answer
end

local function performFrom(answers, first, a, get)
  for k = first, #KEYS, 3 do
    local K, text = KEYS[k], ARGV[a]
    local code, answer = byte(text), nil
    essential = code ~= ACQUIRE and code ~= LIMIT
    if not states[K] and k > first then
      get = call('GET', K)
      if code == ACQUIRE then answer = take(K, get, text) elseif code == RELEASE then answer = giveBack(K, KEYS[k + 1], get, text) end
    end
    answers[#answers + 1] = answer or perform(code, sub(text, 2), k, a + 1, get)
    a = a + 1
    if code == POLL then a = a + 3 * sub(text, 2) elseif code == PUBLISH then a = a + 1 end
  end
end

-- An operation that failed had its first write refused: what is known of its semaphore is as it was.
local function finish()
  essential = true
  for _, s in pairs(states) do
    if not s.failing then
      if s.due then admit(s) end
      if s.changed then save(s) end
    end
  end
  for client, text in pairs(theirs) do
    call('PUBLISH', prefix .. ':@' .. client, text)
  end
end

return function(answers, k, a, get)
  local ok, err = pcall(performFrom, answers, k, a, get)
  finish()
  if not ok then error(err, 0) end
  answers[#answers + 1] = own
  return answers
end
end

local answers, k, a, isUsual, looked, get = { now }, 1, 5, true, nil, nil
while k <= #KEYS do
  local K, text, answer = KEYS[k], ARGV[a], nil
  local code = byte(text)
  if K ~= looked then get = call('GET', K) end
  looked = nil
  if code == 65 then
    answer = take(K, get, text)
    isUsual = isUsual and answer == least
  elseif code == 82 then
    essential = true
    answer = giveBack(K, KEYS[k + 1], get, text)
    isUsual = isUsual and answer == 1
  elseif code == 83 or code == 87 then
    isUsual = false
    if not land then prepareFlights() end
    if code == 83 then
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
  if not answer then return prepare()(answers, k, a, get) end
  answers[#answers + 1] = answer
  k, a = k + 3, a + 1
end
if isUsual then return { now, least } end
answers[#answers + 1] = {}
return answers
