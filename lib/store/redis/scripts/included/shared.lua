-- A semaphore that several hold or wait for: a permit is taken that is free, or given back and handed to the first who waits,
-- and who comes when none is left stands at the end; a holder claims or renews. Nothing is parsed but the holder at hand. There
-- is an answer when it is that simple; otherwise the state is as it was.
if not open then
  if byte(text) == FULL then
    local at
    _, limit, token, used, place, waiting, soonest, life, flags, at = parse(FULL_FORM, text)
    kept, holders = life, sub(text, at)
  else
    local client, at
    _, limit, token, soonest, used, client, at = parse(ALONE_FORM, text)
    local id, label = match(text, '^([^=]+)(.*)$', at)
    place, waiting, life, kept, flags = 0, 0, soonest + IDLE_TTL_MS, nil, 0
    local size = RECORD_BYTES + 1 + #client + #label
    holders = pack(HELD_FORM, #id, id, size, soonest, used, token, floor(token / 1000), 'h', #client, client) .. label
  end
  -- A token that is ahead of the clock has to be remembered until the clock is there.
  if (flags == 0 or flags == IN_H) and now < soonest and token <= micros and isOnTime then
    open, isChanged, isEssential = K, false, false
  end
end

local Q = KEYS[k + 2]
-- Of who becomes a holder beside the others.
local others, id, client, label, units, ends, state
if open and code == ACQUIRE then
  id, label = match(arg, '^([^=]+)(.*)$', #terms + 2)
  if permits == limit and not find(holders, id, 1, true) then
    units = math.min(weight, limit)
    if used + units <= limit then
      if waiting == 0 and lease ~= '-' and #holders <= ROOM_BYTES then
        others, used, client, state, ends = holders, used + units, me, 'h', ceil(now + lease)
      end
    elseif room == '-2' then
      answer = { 2, -1, soonest }
    elseif room == '-1' or waiting < room + 0 then
      local isNews = flags == 0 or byte(arg, #terms + 1) == TOLD
      local here = math.max(place + 1, floor(micros * PLACES_PER_MS / 1000))
      local score = here - priority * PLACES_PER_PRIORITY
      local member = id .. ' ' .. me .. ' ' .. weightText .. ' ' .. lease .. ' ' .. priority .. ' ' .. label
      -- It may wait already. And what the refusal of a full memory means, the rest knows; of an H for ever, too.
      if (life < ENDLESS or not isNews) and redis.pcall('ZADD', Q, 'NX', string.format('%.0f', score), member) == 1 then
        if waiting == 0 or isNews then call('PEXPIRE', Q, WAITING_TTL_MS) end
        if isNews then
          call('HSET', KEYS[k + 1], '~' .. me, string.format('%.0f', now))
          -- H is a new one, or may be, and is to live for as long as K.
          flags, kept = IN_H, nil
        end
        waiting, place, isChanged, isEssential = waiting + 1, here, true, true
        answer = { 0, -1, score, soonest }
      end
    end
  end
elseif open then
  local wished
  if code == RELEASE then id = sub(arg, 2) else id, wished = match(arg, '^N(%S+) (%S+)$') end
  local at, from, size = 1, nil, nil
  repeat
    from, size = at, byte(holders, at)
    if size then
      local low, high = byte(holders, at + 1 + size, at + 2 + size)
      at = at + 3 + size + low + 256 * high
    end
  until not size or size == #id and sub(holders, from + 1, from + size) == id
  local leaves, free, given, since, held, owner
  if size then leaves, free, given, since, held, owner = parse(RECORD_FORM, holders, from + 3 + size) end
  if not size or leaves >= ENDLESS or held ~= 'h' and (held ~= 'p' or parse('Bc0', holders, owner) ~= me) then
    -- The rest knows what it is.
  elseif code == RENEW then
    ends = wished == '-' and ENDLESS or ceil(now + wished)
    -- Who holds alone stays in that form. Those that wait must hear of an earlier end.
    if kept and ends < ENDLESS and ends >= soonest then
      holders = sub(holders, 1, from + 2 + size) .. pack(RECORD_FORM, ends, free, given, since, 'h') .. sub(holders, owner)
      if ends + IDLE_TTL_MS > life then life = 2 * ends - now + IDLE_TTL_MS end
      isChanged, isEssential, answer = true, true, ends
    end
  else
    local rest = sub(holders, 1, from - 1) .. sub(holders, at)
    local first = waiting > 0 and call('ZPOPMIN', Q)
    if not first then
      used, holders, isChanged, isEssential, answer = used - free, rest, true, true, 1
      if used == 0 then soonest, life = ENDLESS, now + IDLE_TTL_MS end
    elseif first[1] then
      local wanted, asks
      id, client, wanted, asks, _, label = match(first[1], '^(%S+) (%S+) (%S+) (%S+) (%S+) (.*)$')
      local isOwn, latest = client == me, now + CLAIM_MS
      ends = asks == '-' and ENDLESS or ceil(now + asks)
      -- Others have to claim it.
      if not isOwn then ends = math.min(ends, latest) end
      units = math.min(wanted + 0, limit)
      local after = used - free + units
      local isLast = after == limit or after < limit and waiting == 1
      -- Those that wait must hear of an earlier end of a lease.
      local isNews = ends < soonest and (isOwn or ends < latest)
      if isLast and not isNews and ends < ENDLESS and not find(rest, id, 1, true) then
        others, used, waiting, isEssential, state = rest, after, waiting - 1, true, isOwn and 'h' or 'p'
      else
        call('ZADD', Q, first[2], first[1])
        call('PEXPIRE', Q, WAITING_TTL_MS)
      end
    end
  end
end

if others then
  token = math.max(token + 1, least)
  local size = RECORD_BYTES + 1 + #client + #label
  holders = others .. pack(HELD_FORM, #id, id, size, ends, units, token, now, state, #client, client) .. label
  if ends < soonest then soonest = ends end
  if ends + IDLE_TTL_MS > life then life = 2 * ends - now + IDLE_TTL_MS end
  isChanged = true
  if code == ACQUIRE then
    answer = token
  else
    answer = 1
    if client == me then
      if own then
        local at = #own
        own[at + 1], own[at + 2], own[at + 3], own[at + 4], own[at + 5] = id, token, ends, now, limit
      else
        own = { id, token, ends, now, limit }
      end
    else
      theirs = theirs or {}
      local grant = string.format('%s %.0f %.0f %.0f %.0f', id, token, ends, now, limit)
      theirs[client] = theirs[client] and theirs[client] .. ',' .. grant or grant
    end
  end
end
