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
    if not land then
      include('flights')
    end
  end
  s.essential = s.essential or essential
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
    if not states[K] and k > first then
      get = call('GET', K)
      answer = performAlone(code, K, get, text)
    end
    essential = code ~= ACQUIRE and code ~= LIMIT
    answers[#answers + 1] = answer or perform(code, sub(text, 2), k, a + 1, get)
    a = a + 1
    if code == POLL then a = a + 3 * sub(text, 2) elseif code == PUBLISH then a = a + 1 end
  end
end

-- An operation that failed had its first write refused: what is known of its semaphore is as it was.
local function finish(isEssential)
  essential = isEssential
  for _, s in pairs(states) do
    if not s.failing and s.essential == isEssential then
      if s.due then admit(s) end
      if s.changed then save(s) end
    end
  end
end

local ok, err = pcall(performFrom, answers, k, a, text)
-- What was given back goes first: then Redis lets the rest go on.
finish(true)
finish(false)
tellTheirs()
if not ok then error(err, 0) end
answers[#answers + 1] = own
return answers
