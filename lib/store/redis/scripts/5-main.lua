return function(code, text, k, a)
  local s = load(text, KEYS[k], KEYS[k + 1], KEYS[k + 2])
  if now >= s.next then sweep(s) end
  local answer = operations[code](s, a)
  if s.waiting > 0 and s.changed then admit(s) end
  if s.changed then save(s) end
  return answer
end
end

local ARGUMENTS = { A = 4, R = 2, N = 2, C = 2, L = 1, F = 1, I = 0, S = 1, W = 4, X = 0 }

local answers = { now }
local a = 5
local perform
for k = 1, #KEYS, 3 do
  local code = ARGV[a]
  local text = ahead[KEYS[k]] or call('GET', KEYS[k])
  ahead[KEYS[k]] = nil
  essential = code ~= 'A' and code ~= 'L'
  local flight = flights[code]
  local answer = flight and flight(text, KEYS[k], KEYS[k + 1], KEYS[k + 2], a + 1)
    or code == 'A' and take(KEYS[k], text, a + 1) or code == 'R' and giveBack(KEYS[k], text, a + 1)
  if not answer then
    perform = perform or prepare()
    answer = perform(code, text, k, a + 1)
  end
  answers[#answers + 1] = answer
  a = a + 1 + (ARGUMENTS[code] or 1 + 3 * ARGV[a + 1])
end
for client, text in pairs(theirs) do
  call('PUBLISH', prefix .. ':@' .. client, text)
end
answers[#answers + 1] = mine
return answers
