-- A page of what there is to know about one semaphore: what it costs does not grow with those who hold and wait.
-- KEYS  K, H, Q
-- ARGV  the score of the first waiter, the cursor of the first holders in H, either empty for none of them; how many of each
-- returns { now, limit, holders, members and scores of Q, the next cursor, 1 when the limit is pinned, silent }
--   holders  id, expiry, weight, token, acquired, client, label of each; of those in K with every page
--   silent   clients of these members that are dead: they leave Q when somebody asks after them, which may be never

include('format')
local SILENT_MS = 5000
local parse = struct.unpack
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local text = redis.call('GET', KEYS[1])
local limit, flags, holders = 0, 0, {}

local function add(id, expiry, weight, token, acquired, client, label)
  for _, value in ipairs({ id, expiry, weight, token, acquired, client, label }) do holders[#holders + 1] = value end
end

local function addRecord(id, record)
  local expiry, weight, token, acquired, _, client, at = parse(RECORD_FORM .. 'Bc0', record)
  add(id, expiry, weight, token, acquired, client, string.sub(record, at))
end

if text then
  local form, at = string.byte(text), nil
  if form == ALONE then
    local token, expiry, weight, client
    form, limit, token, expiry, weight, client, at = parse(ALONE_FORM, text)
    local id, label = string.match(text, '^([^=]+)(.*)$', at)
    add(id, expiry, weight, token, math.floor(token / 1000), client, label)
  elseif form == FULL then
    local _
    form, limit, _, _, _, _, _, _, flags, at = parse(FULL_FORM, text)
    while at <= #text do
      local id, record
      id, record, at = parse(HOLDER_FORM, text, at)
      addRecord(id, record)
    end
  else
    form, limit = parse(IDLE_FORM, text)
  end
end
local from, cursor, count = ARGV[1], ARGV[2], ARGV[3]
local fields, members = {}, {}
if cursor ~= '' then
  local page = redis.call('HSCAN', KEYS[2], cursor, 'COUNT', count)
  cursor, fields = page[1], page[2]
end
if from ~= '' then
  members = redis.call('ZRANGE', KEYS[3], from, '+inf', 'BYSCORE', 'LIMIT', 0, count, 'WITHSCORES')
end
for i = 1, #fields, 2 do
  if string.sub(fields[i], 1, 1) == '@' then addRecord(string.sub(fields[i], 2), fields[i + 1]) end
end
local asked, names, silent = {}, {}, {}
for i = 1, #members, 2 do
  local client = string.match(members[i], ' (%S+)')
  if not asked[client] then names[#names + 1] = '~' .. client end
  asked[client] = true
end
local signs = #names > 0 and redis.call('HMGET', KEYS[2], unpack(names)) or {}
for i, at in ipairs(signs) do
  if at and at + SILENT_MS < now then silent[#silent + 1] = string.sub(names[i], 2) end
end
return { now, limit, holders, members, cursor, flags % 2, silent }
