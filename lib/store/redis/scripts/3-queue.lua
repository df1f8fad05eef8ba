local function grant(s, id, client, weight, lease, label, state)
  local expiry = (state == 'p' and endOfClaim or endOf)(lease)
  s.token = math.max(s.token + 1, least)
  hold(s, id, expiry, weight, s.token, now, state, ownerOf(client, label))
  s.used = s.used + weight
  return expiry
end

-- Somebody asked for the id through another client: what it holds is that client's from now on.
local function takeOver(s, id, held, owner)
  local expiry, weight, token, acquired, state = fieldsOf(held)
  hold(s, id, expiry, weight, token, acquired, state, owner)
  return expiry, token, acquired
end

-- Makes waiters holders, in their order, until one does not fit: those behind it must not pass it. Takes one out of the
-- queue, then two, then four: what does not fit goes back to its place. While all permits are held nobody is served, not even
-- who waits for one that it holds through another client.
local function admit(s)
  s.due = false
  local most = 1
  while s.waiting > 0 and s.used < s.limit do
    local first = call('ZPOPMIN', s.Q, math.min(most, s.limit - s.used))
    s.changed = true
    if #first == 0 then
      s.waiting = 0
      return
    end
    for i = 1, #first, 2 do
      local id, client, weight, lease, _, label = waiter(first[i])
      weight = math.min(tonumber(weight), s.limit)
      local held = s.used > 0 and holder(s, id)
      if s.used + (held and 1 or weight) > s.limit then
        local back = {}
        for j = i, #first, 2 do
          back[#back + 1], back[#back + 2] = first[j + 1], first[j]
        end
        call('ZADD', s.Q, unpack(back))
        call('PEXPIRE', s.Q, WAITING_TTL_MS)
        return
      end
      s.waiting = s.waiting - 1
      if held then
        announce(s, client, id, takeOver(s, id, held, ownerOf(client, label)))
      else
        local expiry = grant(s, id, client, weight, lease, label, client == me and 'h' or 'p')
        announce(s, client, id, expiry, s.token, now)
      end
    end
    most = math.min(2 * most, CHUNK)
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

