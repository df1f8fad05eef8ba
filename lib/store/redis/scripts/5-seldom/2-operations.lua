local operations = {}

local function dropMark(s, id)
  return s.K .. ':' .. id .. ':d'
end

-- Its client may not know yet that it waits no longer, or that it held, and would put it back.
local function markDropped(s, id)
  write(s.H, 'SET', dropMark(s, id), 1, 'PX', KEEP)
end

-- The limit that would hold, if no other one were pinned.
local function passed(s, permits)
  write(s.H, 'HSET', s.H, '=', permits)
  s.inH, s.moved, s.changed = true, true, true
end

-- C  "id member": neither waits nor holds any more, unless another client has taken it over
operations.C = function(s, text)
  local id, member = match(text, '^(%S+) (.*)$')
  local held, expiry, weight = unreleased(s, id)
  if held and clientOf(held) == me then
    free(s, id, expiry, weight)
    s.token = s.token + TOKENS_A_GRANT
  end
  if member ~= '' then leave(s, { member }) end
  return 1
end

-- P  "count", then count times member, score, permits as arguments from position a: the waiters of this client are alive;
--    asks what became of them
-- returns { next, index, token, expiry, acquired, limit, ... } of those that hold, with token 0 of those that were dropped or released by others;
--         puts back those that are lost
operations.P = function(s, text, a)
  local answer = { s.next }
  local count = tonumber(text)
  local members = {}
  for i = 0, count - 1 do members[i + 1] = ARGV[a + 3 * i] end
  local scores = count > 0 and call('ZMSCORE', s.Q, unpack(members))
  for i = 0, count - 1 do
    local member, score, permits = members[i + 1], ARGV[a + 1 + 3 * i], ARGV[a + 2 + 3 * i]
    local id = match(member, '^%S+')
    local held, expiry, _, token, acquired = unreleased(s, id)
    local stands = scores[i + 1]
    if stands and held then
      -- Another client asked for the id too, and was first. It stays that one's, which may have told somebody already:
      -- this one must not take it from there when it gives up.
      leave(s, { member })
      stands = false
    end
    if not stands then
      if not held and (holder(s, id) or call('GET', dropMark(s, id))) then token, expiry, acquired = 0, 0, 0 end
      if token then
        for _, value in ipairs({ i, token, expiry, acquired, s.limit }) do answer[#answer + 1] = value end
      else
        join(s, score, member)
        if s.limit == 0 then s.limit = tonumber(permits) end
        if s.pinned then passed(s, permits) end
      end
    elseif s.limit == 0 then
      -- The queue outlived the rest.
      s.limit = tonumber(permits)
    end
  end
  -- First: whether the others are silent, or this server was away, is told by how long this one was silent. Once a call: it
  -- reads all of H, and a poll of many waiters is many operations.
  if not s.buried then bury(s) end
  s.buried = true
  if count > 0 and call('PEXPIRE', s.Q, WAITING_TTL_MS) == 1 then alive(s, me) end
  local waiting = call('ZCARD', s.Q)
  if waiting ~= s.waiting then s.waiting, s.changed = waiting, true end
  if waiting > 0 then admit(s) end
  answer[1] = s.next
  return answer
end

-- L  "permits", or nothing to clear: pins the limit · returns { previous, limit }, 0 for none
operations.L = function(s, text)
  local previous, wasPinned = s.limit, s.pinned
  s.pinned = text ~= ''
  if s.pinned then
    if s.waiting > 0 and not wasPinned then passed(s, previous) end
    s.limit = tonumber(text)
  elseif s.waiting > 0 and wasPinned then
    -- They passed it before; nobody else might come to pass one.
    s.limit = tonumber(call('HGET', s.H, '=') or previous)
  end
  -- How long K has to stay, the holders tell from now on.
  if wasPinned and not s.pinned then sweep(s) end
  s.changed = true
  return { previous, s.limit }
end

-- D  "id": takes a waiter out of the queue · returns 1 when there was one
operations.D = function(s, id)
  for _, member in ipairs(call('ZRANGE', s.Q, 0, -1)) do
    local other, client = waiter(member)
    if other == id then
      leave(s, { member })
      markDropped(s, id)
      call('PUBLISH', prefix .. ':@' .. client, '!' .. id .. ' ' .. s.K)
      return 1
    end
  end
  return 0
end

-- F  "id": as D, or takes a permit from its holder
operations.F = function(s, id)
  local held = live(s, id)
  if not held then return operations.D(s, id) end
  local expiry, weight, _, _, state = fieldsOf(held)
  free(s, id, expiry, weight)
  s.token = s.token + TOKENS_A_GRANT
  if state == 'p' then markDropped(s, id) end
  call('PUBLISH', prefix .. ':@' .. clientOf(held), '!' .. id .. ' ' .. s.K)
  return 1
end

-- I: returns 1 when it has holders or waiters
operations.I = function(s)
  return (s.used > 0 or s.waiting > 0) and 1 or 0
end
