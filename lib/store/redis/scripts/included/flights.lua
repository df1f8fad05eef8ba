-- Single flights, without what the rest would cost: a look, and the end of a flight, for which others wait. R and what is
-- told are those of 5-seldom/3-flights.lua.

-- @return token, until when it may be used, where the payload begins
function readResult(text)
  local token, stale, from = match(text, '^(%d+) %d+ (%d+) ()')
  return tonumber(token), tonumber(stale), from
end

-- @return the result in front of its payload
function headOf(token, fresh, stale)
  return string.format('%.0f %.0f %.0f ', token, fresh, stale)
end

-- @param members of Q: each of their clients is told once, and asks for a long payload unless that was not kept
function tell(K, members, head, payload, isKept)
  local isCarried = #payload <= (isKept and CARRIED_BYTES or CARRIED_UNKEPT_BYTES)
  local message = '=' .. K .. head .. (isCarried and '+' .. payload or '')
  local told = {}
  for _, member in ipairs(members) do
    local client = match(member, ' (%S+)')
    if not told[client] then call('PUBLISH', prefix .. ':@' .. client, message) end
    told[client] = true
  end
end

-- What R has, without the payload when it cannot be used and is not after seen.
function resultAfter(R, seen)
  local text = call('GET', R)
  if not text then return '' end
  local token, stale, from = readResult(text)
  return stale <= now and token <= tonumber(seen) and sub(text, 1, from - 1) or text
end

function look(R, text, arg)
  local led = 0
  if text and byte(text) ~= IDLE then
    if byte(text) ~= ALONE then return nil end
    local _, ends = parse('<I7I7', text, TOKEN_AT)
    if ends <= now then return nil end
    led = 1
  end
  return { led, 0, resultAfter(R, sub(arg, 2)) }
end

-- Of who holds alone: limit, token, end of the lease, id, and whether others may wait; nil when it is not that simple.
local function soleHolder(text)
  local form = byte(text)
  if form == ALONE then
    local _, permits, token, ends, _, _, at = parse(ALONE_FORM, text)
    return permits, token, ends, match(text, '^[^=]+', at)
  elseif form == FULL then
    local _, permits, last, _, _, _, _, _, flags, at = parse(FULL_FORM, text)
    if at > #text or flags % 2 >= PINNED or flags >= MANY then return nil end
    local id, size, ends, _, token, _, state, owner = parse('<Bc0H' .. RECORD_FORM, text, at)
    if owner - RECORD_BYTES + size > #text and state == 'h' and token == last then return permits, token, ends, id, true end
  end
end

-- A leader that holds alone publishes and gives its permit back: both operations, or neither, then it returns nil. text is
-- what K has.
function land(k, a, text)
  local K, R, Q, H = KEYS[k], KEYS[k + 1], KEYS[k + 2], KEYS[k + 4]
  if not text or KEYS[k + 3] ~= K then return nil end
  local permits, token, ends, id, isFollowed = soleHolder(text)
  if not id or ARGV[a + 2] ~= 'R' .. id or ends <= now or token > micros then return nil end

  local payload, fresh, stale = ARGV[a + 1], now, now
  if ARGV[a] ~= 'W' .. id .. ' 0 0' then
    local by, freshMs, staleMs = match(ARGV[a], '^W(%S+) (%S+) (%S+)$')
    if by ~= id then return nil end
    fresh = now + freshMs
    stale = fresh + staleMs
  end
  local head = headOf(token, fresh, stale)
  local keepMs = stale - now <= KEEP_MS and KEEP or string.format('%.0f', stale - now)
  local before = redis.pcall('SET', R, head .. payload, 'PX', keepMs, 'GET')
  if type(before) == 'table' then return nil end
  local last, usable = 0, 0
  if before then last, usable = readResult(before) end
  -- What nobody may use later does not take the place of what can still be used.
  local isKept = last <= token and (usable <= now or stale > now)
  if not isKept then
    local leftMs = usable == 0 and FORGOTTEN_MS or math.max(usable - now, KEEP_MS)
    call('SET', R, before, 'PX', string.format('%.0f', leftMs))
    if last > token then return nil end
  end
  if isFollowed then
    tell(K, call('ZRANGE', Q, 0, -1), head, payload, isKept)
    call('DEL', Q, H)
  end
  -- Redis lets a script that has written go on, although the memory is full.
  call('SET', K, pack(IDLE_FORM, IDLE, permits, token), 'PX', IDLE_TTL)
  return 1
end
