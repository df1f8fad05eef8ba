local function grant(s, id, client, weight, lease, label, state)
  local expiry = lease == '-' and ENDLESS or math.ceil(now + lease)
  if state == 'p' then expiry = math.min(expiry, now + CLAIM_MS) end
  s.token = math.max(s.token + 1, floor)
  hold(s, id, expiry, weight, s.token, now, state, client .. ' ' .. label)
  s.used = s.used + weight
  return expiry
end

local function waiter(member)
  return match(member, '^(%S+) (%S+) (%S+) (%S+) (%S+) (.*)$')
end

-- Makes waiters holders, in their order, until one does not fit: those behind it must not pass it.
local function admit(s)
  while s.used < s.limit do
    -- Whoever comes first fits when nobody holds.
    local alone = s.used == 0
    local member = (alone and call('ZPOPMIN', s.Q) or call('ZRANGE', s.Q, 0, 0))[1]
    if not member then
      s.waiting = 0
      s.changed = true
      return
    end
    local id, client, weight, lease, _, label = waiter(member)
    weight = math.min(tonumber(weight), s.limit)
    if s.used + weight > s.limit then return end
    if not alone then call('ZREM', s.Q, member) end
    s.waiting = s.waiting - 1
    local own = client == me
    local expiry = grant(s, id, client, weight, lease, label, own and 'h' or 'p')
    if own then
      for _, value in ipairs({ id, s.token, expiry, now }) do mine[#mine + 1] = value end
    else
      local text = format('%s %.0f %.0f %.0f', id, s.token, expiry, now)
      theirs[client] = theirs[client] and theirs[client] .. ',' .. text or text
    end
  end
end

-- @param fresh whether its client may be the first to wait for long
local function join(s, score, member, fresh)
  if call('ZADD', s.Q, 'NX', score, member) == 0 then return false end
  if s.waiting <= 0 or fresh then call('PEXPIRE', s.Q, WAITING_TTL_MS) end
  s.waiting = s.waiting + 1
  s.changed = true
  return true
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

-- Ends the leases that are over. A client that let a provisional one lapse is dead: all its waiters go.
local function sweep(s)
  local all = s.inH and call('HGETALL', s.H) or {}
  if s.id then
    all[#all + 1] = '@' .. s.id
    all[#all + 1] = s.record
  end
  local over, dead = {}, {}
  s.used, s.next, s.ttl, s.moved, s.changed = 0, ENDLESS, 0, true, true
  for i = 1, #all, 2 do
    local kind = string.sub(all[i], 1, 1)
    if kind == '@' then
      local expiry, weight, state, client = match(all[i + 1], '^(%S+) (%S+) %S+ %S+ (%S+) (%S+)')
      expiry = tonumber(expiry)
      if expiry <= now then
        over[#over + 1] = all[i]
        if state == 'p' then dead[client] = true end
      else
        s.used = s.used + weight
        s.next = math.min(s.next, expiry)
        s.ttl = math.max(s.ttl, expiry == ENDLESS and ENDLESS or expiry + IDLE_TTL_MS)
      end
    elseif kind == '~' and all[i + 1] + WAITING_TTL_MS < now then
      over[#over + 1] = all[i]
    end
  end
  if s.used == 0 then s.id = false end
  if s.inH then send('HDEL', s.H, over) end
  if next(dead) then forget(s, dead) end
end

-- Lets nobody wait any longer whose client is dead.
local function bury(s)
  local first = call('ZRANGE', s.Q, 0, 0)[1]
  if not first then return end
  local seen, dead, over = { [me] = now }, {}, {}
  local all = call('HGETALL', s.H)
  for i = 1, #all, 2 do
    local kind, name, at = string.sub(all[i], 1, 1), string.sub(all[i], 2), tonumber(all[i + 1])
    if kind == '!' and at + DROPPED_MS < now then
      over[#over + 1] = all[i]
    elseif kind == '~' and name ~= me then
      seen[name] = at
      -- A sign of life from the future: the clock was set back.
      if at > now then
        alive(s, name)
      elseif at + DEAD_MS <= now then
        dead[name] = true
        over[#over + 1] = all[i]
      end
    end
  end
  send('HDEL', s.H, over)
  if next(dead) then forget(s, dead) end
  local _, client = waiter(first)
  if not seen[client] then alive(s, client) end
end
