-- Writes the semaphore at hand, and tells others what they got.
if isChanged then
  local H = open .. ':h'
  local value, how, ends, isKept = nil, 'PX', IDLE_TTL, false
  if used == 0 then
    value = pack(IDLE_FORM, IDLE, limit, token)
    if flags == IN_H then call('DEL', H) end
  else
    if waiting > 0 and now + WAITING_TTL_MS > life then life = now + 2 * WAITING_TTL_MS end
    value = pack(FULL_FORM, FULL, limit, token, used, place, waiting, soonest, life, flags) .. holders
    isKept = life == kept
    if not isKept then
      how, ends = 'PXAT', string.format('%.0f', life)
      if flags == IN_H then call('PEXPIREAT', H, ends) end
    end
  end
  local reply = isKept and redis.pcall('SET', open, value, 'KEEPTTL') or redis.pcall('SET', open, value, how, ends)
  if reply.err then
    if isEssential and find(reply.err, 'OOM', 1, true) then call('HDEL', H, '') end
    if isKept then call('SET', open, value, 'KEEPTTL') else call('SET', open, value, how, ends) end
  end
  if theirs then
    for client, grants in pairs(theirs) do call('PUBLISH', prefix .. ':@' .. client, grants) end
    theirs = nil
  end
end
text, open = nil, nil
