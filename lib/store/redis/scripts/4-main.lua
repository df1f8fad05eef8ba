local ARGUMENTS = { A = 4, R = 2, N = 2, C = 2, L = 1, F = 1, I = 0 }
local NAMED = { R = true, N = true, C = true, F = true }

local answers = { now }
local a = 5
for k = 1, #KEYS, 2 do
  local code = ARGV[a]
  local id = NAMED[code] and ARGV[a + 1] or code == 'A' and match(ARGV[a + 1], '^%S+') or ''
  local s = load(KEYS[k], KEYS[k + 1], id)
  if now >= s.next then sweep(s) end
  answers[#answers + 1] = operations[code](s, a + 1)
  if s.waiting and s.changed then admit(s) end
  if s.changed then save(s) end
  a = a + 1 + (ARGUMENTS[code] or 1 + 3 * ARGV[a + 1])
end
for client, text in pairs(theirs) do
  call('PUBLISH', prefix .. ':@' .. client, text)
end
answers[#answers + 1] = mine
return answers
