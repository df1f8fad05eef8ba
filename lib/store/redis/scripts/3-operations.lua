-- Each takes its arguments from position a of ARGV and returns its answer and the position after them.
local operations = {}

-- A  member permits wait maxWaiting: acquire
-- returns { 1, token, expiry, acquired, previous } granted · { 0, score, next, previous } waiting
--         { 2, next, previous } busy · { 3, next, previous } the queue is full
--   previous  the limit before, when this changed it, otherwise -1
operations.A = function(s, a)
  local member, permits, wait, maxWaiting = ARGV[a], tonumber(ARGV[a + 1]), ARGV[a + 2] == '1', tonumber(ARGV[a + 3])
  local id, client, weight, lease, priority, label = waiter(member)
  if s.holder then
    local expiry, _, token, acquired, state = match(s.holder, '^(%S+) (%S+) (%S+) (%S+) (%S+)')
    if state ~= 'k' then return { 1, tonumber(token), tonumber(expiry), tonumber(acquired), -1 } end
  end
  local score = s.waiting and call('ZSCORE', s.Q, member)
  if score then return { 0, tonumber(score), s.next, -1 } end

  local previous = -1
  if not s.pinned and s.limit ~= permits then
    if s.limit > 0 then previous = s.limit end
    s.limit = permits
    set(s, 'l', permits)
  end
  if s.waiting then admit(s) end

  local place = math.max(s.place + 1, math.floor(micros * PLACES_PER_MS / 1000))
  score = place - priority * PLACES_PER_PRIORITY
  weight = math.min(tonumber(weight), s.limit)
  if s.used + weight <= s.limit then
    local first = s.waiting and call('ZRANGE', s.Q, 0, 0, 'WITHSCORES')[2]
    if not first or score < tonumber(first) then
      local expiry = grant(s, id, client, weight, lease, label, 'h')
      return { 1, s.token, expiry, now, previous }
    end
  end
  if not wait then return { 2, s.next, previous } end
  if maxWaiting >= 0 and call('ZCARD', s.Q) >= maxWaiting then return { 3, s.next, previous } end
  set(s, 's', whole(place))
  set(s, '~' .. client, whole(now))
  call('ZADD', s.Q, whole(score), member)
  if not s.waiting then call('PEXPIRE', s.Q, WAITING_TTL_MS) end
  s.waiting = true
  return { 0, score, s.next, previous }
end

-- Takes a holder out. @return its client, when it held
local function free(s, kept)
  if not s.holder then return nil end
  local expiry, weight, state, client = match(s.holder, '^(%S+) (%S+) %S+ %S+ (%S+) (%S+)')
  if state == 'k' and not kept then return nil end
  s.changed = true
  if tonumber(expiry) == ENDLESS then
    -- K was to stay for ever: how long it has to now, the other holders tell.
    call('HDEL', s.K, '@' .. s.id)
    sweep(s)
  else
    s.gone[#s.gone + 1] = '@' .. s.id
    s.used = s.used - weight
  end
  return client
end

-- R  id holdAtLeastMs: release · returns 1 when it held
operations.R = function(s, a)
  if not s.holder then return 0 end
  local _, weight, token, acquired, state, owner = match(s.holder, '^(%S+) (%S+) (%S+) (%S+) (%S+) (.*)$')
  if state == 'k' then return 0 end
  local keptUntil = math.ceil(acquired + ARGV[a + 1])
  if keptUntil > now then
    hold(s, s.id, keptUntil, weight, token, acquired, 'k', owner)
    return 1
  end
  return free(s) and 1 or 0
end

-- N  id lease: renew, and claim a provisional grant · returns the expiry, 0 when it holds no more
operations.N = function(s, a)
  if not s.holder then return 0 end
  local _, weight, token, acquired, state, owner = match(s.holder, '^(%S+) (%S+) (%S+) (%S+) (%S+) (.*)$')
  if state == 'k' then return 0 end
  local lease = ARGV[a + 1]
  local expiry = lease == '-' and ENDLESS or math.ceil(now + lease)
  hold(s, s.id, expiry, weight, token, acquired, 'h', owner)
  return expiry
end

-- C  id member: neither waits nor holds any more
operations.C = function(s, a)
  free(s)
  if ARGV[a + 1] ~= '' and call('ZREM', s.Q, ARGV[a + 1]) == 1 then s.changed = true end
  return 1
end

-- P  count, then count times member score permits: the waiters of this client are alive; asks what became of them
-- returns { next, index, token, expiry, acquired, ... } of those that hold; puts back those that are lost
operations.P = function(s, a)
  local answer = {}
  local count = tonumber(ARGV[a])
  for i = 0, count - 1 do
    local member, score, permits = ARGV[a + 1 + 3 * i], ARGV[a + 2 + 3 * i], ARGV[a + 3 + 3 * i]
    if not call('ZSCORE', s.Q, member) then
      local holder = call('HGET', s.K, '@' .. match(member, '^%S+'))
      if holder then
        local expiry, _, token, acquired = match(holder, '^(%S+) (%S+) (%S+) (%S+)')
        for _, value in ipairs({ i, tonumber(token), tonumber(expiry), tonumber(acquired) }) do
          answer[#answer + 1] = value
        end
      else
        call('ZADD', s.Q, score, member)
        s.waiting = true
        if s.limit == 0 then
          s.limit = tonumber(permits)
          set(s, 'l', permits)
        end
      end
    end
  end
  if s.waiting then
    if count > 0 then
      call('PEXPIRE', s.Q, WAITING_TTL_MS)
      set(s, '~' .. me, whole(now))
    end
    bury(s)
    admit(s)
  end
  table.insert(answer, 1, s.next)
  return answer
end

-- L  permits, or nothing to clear: pins the limit · returns the limit before, 0 for none
operations.L = function(s, a)
  local previous = s.limit
  if ARGV[a] == '' then
    s.pinned = false
    s.gone[#s.gone + 1] = 'p'
    s.changed = true
  else
    s.pinned = true
    s.limit = tonumber(ARGV[a])
    set(s, 'l', ARGV[a])
    set(s, 'p', '1')
  end
  return previous
end

-- F  id: takes a permit from its holder, or a waiter out of the queue · returns 1 when there was one
operations.F = function(s)
  local owner = free(s, true)
  if not owner then
    for _, member in ipairs(call('ZRANGE', s.Q, 0, -1)) do
      local id, client = waiter(member)
      if id == s.id then
        owner = client
        call('ZREM', s.Q, member)
        s.changed = true
      end
    end
  end
  if not owner then return 0 end
  call('PUBLISH', prefix .. ':@' .. owner, '!' .. s.id .. ' ' .. s.K)
  return 1
end

-- I: returns 1 when it has holders or waiters
operations.I = function(s)
  return (s.used > 0 or s.waiting) and 1 or 0
end
