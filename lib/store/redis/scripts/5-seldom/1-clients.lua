-- Who waits no longer: the signs of life of clients, and the ends of leases.

local DEAD_MS, AWAY_MS, SPARED_MS = 3400, 2000, 1000
local TOGETHER_MS = 100

local function alive(s, client)
  write(s.H, 'HSET', s.H, '~' .. client, string.format('%.0f', now))
  s.inH, s.moved, s.changed = true, true, true
end

-- A removal of any number of things. @return how many there were
local function send(command, key, list)
  local count = 0
  for i = 1, #list, CHUNK do
    count = count + call(command, key, unpack(list, i, math.min(i + CHUNK - 1, #list)))
  end
  return count
end

local function leave(s, members)
  if send('ZREM', s.Q, members) == 0 then return end
  s.waiting = call('ZCARD', s.Q)
  s.changed = true
end

local function forget(s, dead)
  local members = {}
  for _, member in ipairs(call('ZRANGE', s.Q, 0, -1)) do
    local _, client = waiter(member)
    if dead[client] then members[#members + 1] = member end
  end
  leave(s, members)
end

-- The signs of life of clients that wait, by their names, and the last of them.
local function signsOfLife(s)
  local signs, last = {}, 0
  local all = call('HGETALL', s.H)
  for i = 1, #all, 2 do
    if sub(all[i], 1, 1) == '~' then
      local at = tonumber(all[i + 1])
      signs[sub(all[i], 2)] = at
      if at <= now then last = math.max(last, at) end
    end
  end
  return signs, last
end

-- Lets nobody wait any longer whose client is dead. When nobody was heard of for longer than those that live are silent,
-- it may be this server that stood still, and what they said lies unread: then they are given a little time, once. A sign
-- that was put off so is not a whole number.
local function bury(s)
  local first = call('ZRANGE', s.Q, 0, 0)[1]
  if not first then return end
  local dead, over = {}, {}
  local signs, last = signsOfLife(s)
  local spared = now - DEAD_MS + SPARED_MS
  for client, at in pairs(signs) do
    if at > now then
      -- The clock was set back.
      alive(s, client)
    elseif last + AWAY_MS <= now and at <= spared and at == floor(at) then
      write(s.H, 'HSET', s.H, '~' .. client, string.format('%.0f.5', spared))
    elseif at + DEAD_MS <= now and client ~= me then
      dead[client] = true
      over[#over + 1] = '~' .. client
    end
  end
  send('HDEL', s.H, over)
  if next(dead) then forget(s, dead) end
  local _, client = waiter(first)
  if client ~= me and not signs[client] then alive(s, client) end
end

-- As bury, when the first who waits seems to be dead: it costs little where it lives. @return whether somebody left
local function buryFirst(s)
  local first = call('ZRANGE', s.Q, 0, 0)[1]
  if not first then return false end
  local _, client = waiter(first)
  local at = tonumber(call('HGET', s.H, '~' .. client) or 0)
  if at <= now and at + DEAD_MS > now then return false end
  local before = s.waiting
  bury(s)
  return s.waiting < before
end

-- Counts a holder, unless its lease is over: then its client is dead when it let a provisional one lapse.
-- @return whether it holds
local function count(s, text, dead)
  local expiry, weight, _, _, state = fieldsOf(text)
  if expiry <= now then
    if state == 'p' then dead[clientOf(text)] = true end
    if state ~= 'k' then s.token = s.token + TOKENS_A_GRANT end
    return false
  end
  s.used = s.used + weight
  s.next = math.min(s.next, expiry)
  s.ttl = math.max(s.ttl, expiry == ENDLESS and ENDLESS or expiry + IDLE_TTL_MS)
  return true
end

-- Ends the leases that are over. Where a dead client let one lapse there may be more of them: their waiters go together,
-- instead of one after another as each lets a grant lapse.
local function sweep(s)
  local over, dead = {}, {}
  s.used, s.next, s.ttl, s.moved, s.changed = 0, ENDLESS, 0, true, true
  for id, held in pairs(s.holders) do
    if not count(s, held, dead) then over[#over + 1] = id end
  end
  for _, id in ipairs(over) do remove(s, id) end
  if s.inH then
    over = {}
    local all = call('HGETALL', s.H)
    for i = 1, #all, 2 do
      local kind = sub(all[i], 1, 1)
      if kind == '@' and not count(s, all[i + 1], dead) or kind == '~' and all[i + 1] + WAITING_TTL_MS < now then
        over[#over + 1] = all[i]
      end
    end
    send('HDEL', s.H, over)
  end
  -- To look through many takes its time: those that end within a moment go together.
  if s.many then s.next = math.max(s.next, now + TOGETHER_MS) end
  -- It asks, so it lives; where its waiters stand may have been looked up by now.
  dead[me] = nil
  if next(dead) then
    forget(s, dead)
    bury(s)
  end
end

-- Whether somebody else holds for ever, as far as a short look tells: where most do, each that is given back must not cost a
-- look at all of them.
local function seesEndless(s)
  if not s.many then return false end
  local some = call('HSCAN', s.H, 0, 'COUNT', 10)[2]
  for i = 1, #some, 2 do
    if sub(some[i], 1, 1) == '@' and fieldsOf(some[i + 1]) == ENDLESS then return true end
  end
  return false
end

-- An endless lease is over, for which K was to stay for ever: how long it has to now, the other holders tell.
local function sweepEndless(s)
  if not seesEndless(s) then sweep(s) end
end
