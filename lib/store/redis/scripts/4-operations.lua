-- Each takes its text, without the code, and returns its answer. Others are in the folder 5-seldom.
local operations = {}

-- The record of a holder, unless its lease is over: among many it may still be there for a moment.
local function live(s, id)
  local held = holder(s, id)
  if not held or not s.many or fieldsOf(held) > now then return held end
  seldom().sweep(s)
  return nil
end

-- The answer to an acquire under an id that holds; nil when it does not.
local function answerToHolder(s, id, lease, label, previous)
  local held = live(s, id)
  if not held then return nil end
  local expiry, weight, token, acquired, state, at = fieldsOf(held)
  if state == 'k' then return { 2, previous, s.next } end
  local isOther = clientOf(held) ~= me
  if state == 'p' or isOther then
    -- Somebody is there to ask: that claims it, or takes it over.
    if state == 'p' then expiry = endOf(lease) end
    hold(s, id, expiry, weight, token, acquired, 'h', isOther and ownerOf(me, label) or sub(held, at))
  end
  return { 1, previous, token, expiry, acquired, s.limit, 1 }
end

-- A  "permits,weight,lease,room,priority ", then told, the id and the label: acquire for this client. room is how many may wait,
--    -1 for any number, -2 not to wait; told is 1 when the client's last sign of life is not a recent one, else 0
-- returns token  granted, now, until the lease's end, at the limit that was asked for and was in force: what happens most
--         { 1, previous, token, expiry, acquired, limit } granted, with 1 at the end when the id held already · { 0, previous, score, next } waiting
--         { 2, previous, next } busy · { 3, previous, next } the queue is full
--   previous  the limit before, when this changed it, otherwise -1
operations.A = function(s, text)
  local permits, weight, lease, room, priority, told, id, label =
    match(text, '^(%d+),(%d+),([^,]+),([^,]+),(%S+) (%d)([^=]+)(.*)$')
  local member = table.concat({ id, me, weight, lease, priority, label }, ' ')
  permits, room = tonumber(permits), tonumber(room)
  local standing = answerToHolder(s, id, lease, label, -1)
  if standing then return standing end

  local previous = -1
  local place, score = placeFor(s, priority)
  if not s.pinned and s.limit ~= permits then
    -- Who asks again has told its limit before, and others may have told theirs since.
    local stands = s.waiting > 0 and call('ZSCORE', s.Q, member)
    if stands then return { 0, -1, tonumber(stands), s.next } end
    if s.limit > 0 then previous = s.limit end
    s.limit = permits
    s.changed = true
    if s.waiting > 0 then
      admit(s)
      -- It may have waited with other terms, or through another client, and hold now.
      standing = answerToHolder(s, id, lease, label, previous)
      if standing then return standing end
    end
  end
  weight = math.min(tonumber(weight), s.limit)
  if s.used + weight <= s.limit then
    local stands = s.waiting > 0 and call('ZSCORE', s.Q, member)
    if stands then return { 0, previous, tonumber(stands), s.next } end
    -- Who could have it is not kept out by the dead: those that wait for a short while never ask after them.
    if s.waiting > 0 and seldom().buryFirst(s) then
      admit(s)
      standing = answerToHolder(s, id, lease, label, previous)
      if standing then return standing end
    end
    local first = s.waiting > 0 and call('ZRANGE', s.Q, 0, 0, 'WITHSCORES')[2]
    if s.used + weight <= s.limit and (not first or score < tonumber(first)) then
      local expiry = grant(s, id, me, weight, lease, label, 'h')
      if previous == -1 and expiry < ENDLESS and not s.pinned then return s.token end
      return { 1, previous, s.token, expiry, now, s.limit }
    end
  end
  if room == -2 then return { 2, previous, s.next } end
  if room >= 0 and s.waiting >= room then
    if s.waiting > 0 then seldom().bury(s) end
    if s.waiting >= room and not call('ZSCORE', s.Q, member) then return { 3, previous, s.next } end
  end
  local fresh = told == '1' or not s.inH
  if join(s, string.format('%.0f', score), member, fresh) then
    s.place = place
    if s.pinned then seldom().passed(s, permits) end
  else
    score = tonumber(call('ZSCORE', s.Q, member))
  end
  if fresh then seldom().alive(s, me) end
  return { 0, previous, score, s.next }
end

-- Takes a holder out.
local function free(s, id, expiry, weight)
  s.changed = true
  s.used = s.used - weight
  remove(s, id)
  if expiry == ENDLESS then seldom().sweepEndless(s) end
end

-- A holder's record and what it says, when it has not been released.
local function unreleased(s, id)
  local held = live(s, id)
  if not held then return nil end
  local expiry, weight, token, acquired, state, at = fieldsOf(held)
  if state == 'k' then return nil end
  return held, expiry, weight, token, acquired, sub(held, at), state
end

-- Gives a holder another lease end.
local function extend(s, id, from, to, ...)
  hold(s, id, to, ...)
  if from == ENDLESS and to < ENDLESS then seldom().sweepEndless(s) end
end

-- R  "id", or "id holdAtLeastMs last": release; last is the highest token that was used under the permit, 0 for its own
-- returns 1 when it held
operations.R = function(s, text)
  local id, keepMs, last = match(text, '^(%S+) ?(%S*) ?(%d*)$')
  if keepMs == '' then keepMs, last = 0, 0 end
  -- It may be one that is free to be granted since the operation before.
  if s.due and not holder(s, id) then admit(s) end
  local held, from, weight, token, acquired, owner, state = unreleased(s, id)
  if not held then return 0 end
  if state == 'p' and clientOf(held) ~= me then seldom().markDropped(s, id) end
  s.token = math.max(s.token, math.min(tonumber(last), token + TOKENS_A_GRANT))
  -- Acquired in the future: the clock was set back.
  local keptUntil = ceil(math.min(acquired, now) + keepMs)
  if keptUntil > now then
    extend(s, id, from, keptUntil, weight, token, acquired, 'k', owner)
    -- Who is refused is told when to come again.
    if s.count == 1 then s.next = keptUntil end
  else
    free(s, id, from, weight)
  end
  return 1
end

-- N  "id lease": renew, and claim a provisional grant · returns the expiry, 0 when it holds no more
operations.N = function(s, text)
  local id, lease = match(text, '^(%S+) (%S+)$')
  local held, from, weight, token, acquired, owner, state = unreleased(s, id)
  if not held then return 0 end
  local expiry = endOf(lease)
  -- Whether the client that waited knows that it holds, another one cannot say.
  if clientOf(held) == me then state = 'h' end
  extend(s, id, from, expiry, weight, token, acquired, state, owner)
  return expiry
end

