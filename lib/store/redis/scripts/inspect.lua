-- Everything about one semaphore.
-- KEYS  K, H, Q
-- returns { now, limit, holders, members and scores of Q }
--   holders  id, expiry, weight, token, acquired, client, label of each
-- K and H are packed as the semaphore script says.
local parse = struct.unpack
local time = redis.call('TIME')
local text = redis.call('GET', KEYS[1])
local limit, holders = 0, {}

local function add(id, expiry, weight, token, acquired, client, label)
  for _, value in ipairs({ id, expiry, weight, token, acquired, client, label }) do holders[#holders + 1] = value end
end

local function addRecord(id, record)
  local expiry, weight, token, acquired, _, client, at = parse('<I7I7I7I7c1Bc0', record)
  add(id, expiry, weight, token, acquired, client, string.sub(record, at))
end

if text then
  local form, at = string.byte(text), nil
  if form == 2 then
    local token, weight, expiry, id, client
    form, limit, token, weight, expiry, id, client, at = parse('<BI7I7I7I7Bc0Bc0', text)
    add(id, expiry, weight, token, math.floor(token / 1000), client, string.sub(text, at))
  elseif form == 3 then
    local _
    form, limit, _, _, _, _, _, _, _, at = parse('<BI7I7I7I7I4I7I7B', text)
    while at <= #text do
      local id, record
      id, record, at = parse('<Bc0Hc0', text, at)
      addRecord(id, record)
    end
  else
    form, limit = parse('<BI7I7', text)
  end
end
local fields = redis.call('HGETALL', KEYS[2])
for i = 1, #fields, 2 do
  if string.sub(fields[i], 1, 1) == '@' then addRecord(string.sub(fields[i], 2), fields[i + 1]) end
end
return {
  time[1] * 1000 + math.floor(time[2] / 1000),
  limit,
  holders,
  redis.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES'),
}
