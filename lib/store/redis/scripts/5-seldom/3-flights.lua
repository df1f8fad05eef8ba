-- What leaders of single flights publish. K and Q are of the semaphore whose holder leads and whose waiters follow; in place
-- of H the KEYS have
--
-- R  string  "token fresh stale payload": the token of the holder that published; until when it is fresh, and may be used
--            at all; a payload of !place makes void what holders with older tokens publish, but for those who stood in
--            the queue up to that place

-- @return the place of a payload that makes void
local function placeOfVoid(text, from)
  return match(text, '^!(%d*)', from)
end

-- Who leads now, the token, and the client.
local function leader(s)
  local id, held = next(s.holders)
  if not id then return nil end
  local _, _, token, _, state = fieldsOf(held)
  if state ~= 'k' then return id, token, clientOf(held) end
end

-- S  seen: returns { isLed, waiting, text of R }, without the payload when it cannot be used and is not after seen
operations.S = function(s, seen)
  -- The leader asks whether anybody follows: the dead do not.
  if s.waiting > 0 then buryFirst(s) end
  return { leader(s) and 1 or 0, s.waiting, resultAfter(s.R, seen) }
end

-- W  "id freshMs staleMs", and the payload as an argument: publishes · returns 0 when the id does not lead any more
operations.W = function(s, text, a)
  local by, freshMs, staleMs = match(text, '^(%S+) (%S+) (%S+)$')
  local id, token = leader(s)
  if id ~= by then return 0 end
  local payload, fresh = ARGV[a], now + freshMs
  local stale = fresh + staleMs
  local head = headOf(token, fresh, stale)
  local before = call('GET', s.R)
  local last, usable, from = 0, 0, nil
  if before then last, usable, from = readResult(before) end
  local isVoid = last > token
  local lastPlace = isVoid and placeOfVoid(before, from)
  if isVoid and not lastPlace then return 0 end
  local isKept = false
  if not isVoid and (stale > now or usable <= now) then
    -- Not when the memory is full: who waits gets it all the same.
    local reply = redis.pcall('SET', s.R, head .. payload, 'PX', string.format('%.0f', math.max(stale - now, KEEP_MS)))
    isKept = not reply.err
  end
  local members = call('ZRANGE', s.Q, '-inf', lastPlace or '+inf', 'BYSCORE')
  tell(s.K, members, head, payload, isKept)
  if isVoid then
    leave(s, members)
  elseif #members > 0 then
    -- What is kept of clients that wait goes with them.
    call('DEL', s.Q, s.H)
    s.waiting, s.inH, s.changed = 0, false, true
  end
  return 1
end

-- X: forgets, and tells other clients that lead or follow: who asks there from then on has to wait for the next leader
operations.X = function(s)
  local id, token, client = leader(s)
  local before = call('GET', s.R)
  local last, _, from = readResult(before or '0 0 0 ')
  -- Who came after it was forgotten once more waits for the next leader, too: the first time counts.
  if not id or last <= token or not placeOfVoid(before, from) then
    -- With a token of its own: what was published before is older, though it may be heard later, and the next leader's is newer.
    s.token, s.changed = math.max(s.token + 1, least), true
    -- That needs no memory, and lets the script go on.
    call('DEL', s.R)
    call('SET', s.R, string.format('%.0f 0 0 !%.0f', s.token, s.place), 'PX', id and FORGOTTEN_MS or KEEP_MS)
  end
  if not id then return 1 end
  local asked = { [client] = true }
  for _, member in ipairs(call('ZRANGE', s.Q, 0, -1)) do asked[match(member, ' (%S+)')] = true end
  asked[me] = nil
  for other in pairs(asked) do call('PUBLISH', prefix .. ':@' .. other, '=' .. s.K) end
  return 1
end
