-- Each takes its arguments from position a of ARGV and returns its answer.
local operations = {}

-- A  member permits room alive: acquire. room is how many may wait, -1 for any number, -2 not to wait; alive is 1 when
--    the client's last sign of life is not a recent one
-- returns { 1, token, expiry, acquired, previous } granted · { 0, score, next, previous } waiting
--         { 2, next, previous } busy · { 3, next, previous } the queue is full
--   previous  the limit before, when this changed it, otherwise -1
operations.A = function(s, a)
  local member, permits, room = ARGV[a], tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
  local id, client, weight, lease, priority, label = waiter(member)
  local record = holder(s, id)
  if record then
    local expiry, held, token, acquired, state, owner = match(record, '^(%S+) (%S+) (%S+) (%S+) (%S+) (.*)$')
    if state == 'p' then
      -- Somebody is there to ask: that claims it.
      expiry = lease == '-' and ENDLESS or math.ceil(now + lease)
      hold(s, id, expiry, held, token, acquired, 'h', owner)
    end
    if state ~= 'k' then return { 1, tonumber(token), tonumber(expiry), tonumber(acquired), -1 } end
  end

  local previous = -1
  local place = math.max(s.place + 1, math.floor(micros * PLACES_PER_MS / 1000))
  local score = place - priority * PLACES_PER_PRIORITY
  if not s.pinned and s.limit ~= permits then
    -- Who asks again has told its limit before, and others may have told theirs since.
    local stands = s.waiting > 0 and call('ZSCORE', s.Q, member)
    if stands then return { 0, tonumber(stands), s.next, -1 } end
    if s.limit > 0 then previous = s.limit end
    s.limit = permits
    s.changed = true
    if s.waiting > 0 then admit(s) end
  end
  weight = math.min(tonumber(weight), s.limit)
  if s.used + weight <= s.limit then
    local stands = s.waiting > 0 and call('ZSCORE', s.Q, member)
    if stands then return { 0, tonumber(stands), s.next, previous } end
    local first = s.waiting > 0 and call('ZRANGE', s.Q, 0, 0, 'WITHSCORES')[2]
    if not first or score < tonumber(first) then
      local expiry = grant(s, id, client, weight, lease, label, 'h')
      return { 1, s.token, expiry, now, previous }
    end
  end
  if room == -2 then return { 2, s.next, previous } end
  if room >= 0 and s.waiting >= room then
    if s.waiting > 0 then bury(s) end
    if s.waiting >= room and not call('ZSCORE', s.Q, member) then return { 3, s.next, previous } end
  end
  local fresh = ARGV[a + 3] == '1' or not s.inH
  if join(s, format('%.0f', score), member, fresh) then
    s.place = place
  else
    score = tonumber(call('ZSCORE', s.Q, member))
  end
  if fresh then alive(s, client) end
  return { 0, score, s.next, previous }
end

-- Takes a holder out. @return its client
local function free(s, id, record)
  local expiry, weight, client = match(record, '^(%S+) (%S+) %S+ %S+ %S+ (%S+)')
  s.changed = true
  s.used = s.used - weight
  if tonumber(expiry) == ENDLESS then
    -- K was to stay for ever: how long it has to now, the other holders tell.
    if s.id then s.id = false else call('HDEL', s.H, '@' .. id) end
    sweep(s)
  elseif s.id then
    s.id = false
  else
    s.gone = '@' .. id
  end
  return client
end

-- A holder's record, when it has not been released.
local function held(s, id)
  local record = holder(s, id)
  if not record then return nil end
  local expiry, weight, token, acquired, state, owner = match(record, '^(%S+) (%S+) (%S+) (%S+) (%S+) (.*)$')
  if state == 'k' then return nil end
  return record, expiry, weight, token, acquired, owner
end

-- Gives a holder another lease end.
local function extend(s, id, from, to, ...)
  hold(s, id, to, ...)
  if tonumber(from) == ENDLESS and to < ENDLESS then sweep(s) end
end

-- R  id holdAtLeastMs: release · returns 1 when it held
operations.R = function(s, a)
  local id = ARGV[a]
  local record, from, weight, token, acquired, owner = held(s, id)
  if not record then return 0 end
  -- Acquired in the future: the clock was set back.
  local keptUntil = math.ceil(math.min(acquired, now) + ARGV[a + 1])
  if keptUntil > now then
    extend(s, id, from, keptUntil, weight, token, acquired, 'k', owner)
  else
    free(s, id, record)
  end
  return 1
end

-- N  id lease: renew, and claim a provisional grant · returns the expiry, 0 when it holds no more
operations.N = function(s, a)
  local id, lease = ARGV[a], ARGV[a + 1]
  local record, from, weight, token, acquired, owner = held(s, id)
  if not record then return 0 end
  local expiry = lease == '-' and ENDLESS or math.ceil(now + lease)
  extend(s, id, from, expiry, weight, token, acquired, 'h', owner)
  return expiry
end

-- C  id member: neither waits nor holds any more
operations.C = function(s, a)
  local id, member = ARGV[a], ARGV[a + 1]
  local record = held(s, id)
  if record then free(s, id, record) end
  if member ~= '' then leave(s, { member }) end
  return 1
end

-- P  count, then count times member score permits: the waiters of this client are alive; asks what became of them
-- returns { next, index, token, expiry, acquired, ... } of those that hold, with token 0 of those that were dropped by force;
--         puts back those that are lost
operations.P = function(s, a)
  local answer = { s.next }
  local count = tonumber(ARGV[a])
  for i = 0, count - 1 do
    local member, score, permits = ARGV[a + 1 + 3 * i], ARGV[a + 2 + 3 * i], ARGV[a + 3 + 3 * i]
    if not call('ZSCORE', s.Q, member) then
      local id = match(member, '^%S+')
      local record = holder(s, id)
      local dropped = not record and s.inH and call('HGET', s.H, '!' .. id)
      if record or dropped then
        local expiry, token, acquired = match(record or '0 0 0 0', '^(%S+) %S+ (%S+) (%S+)')
        for _, value in ipairs({ i, tonumber(token), tonumber(expiry), tonumber(acquired) }) do
          answer[#answer + 1] = value
        end
      else
        join(s, score, member)
        if s.limit == 0 then s.limit = tonumber(permits) end
      end
    elseif s.limit == 0 then
      -- The queue outlived the rest.
      s.limit = tonumber(permits)
    end
  end
  if count > 0 and call('PEXPIRE', s.Q, WAITING_TTL_MS) == 1 then alive(s, me) end
  bury(s)
  local waiting = call('ZCARD', s.Q)
  if waiting ~= s.waiting then s.waiting, s.changed = waiting, true end
  if waiting > 0 then admit(s) end
  answer[1] = s.next
  return answer
end

-- L  permits, or nothing to clear: pins the limit · returns the limit before, 0 for none
operations.L = function(s, a)
  local previous = s.limit
  s.pinned = ARGV[a] ~= ''
  if s.pinned then s.limit = tonumber(ARGV[a]) end
  s.changed = true
  return previous
end

-- F  id: takes a permit from its holder, or a waiter out of the queue · returns 1 when there was one
operations.F = function(s, a)
  local id, owner = ARGV[a], nil
  local record = holder(s, id)
  if record then
    owner = free(s, id, record)
  else
    for _, member in ipairs(call('ZRANGE', s.Q, 0, -1)) do
      local other, client = waiter(member)
      if other == id then
        owner = client
        leave(s, { member })
        -- Its client may miss the message, and would put it back.
        call('HSET', s.H, '!' .. id, nowText)
        s.inH, s.moved = true, true
      end
    end
  end
  if not owner then return 0 end
  call('PUBLISH', prefix .. ':@' .. owner, '!' .. id .. ' ' .. s.K)
  return 1
end

-- I: returns 1 when it has holders or waiters
operations.I = function(s)
  return (s.used > 0 or s.waiting > 0) and 1 or 0
end
