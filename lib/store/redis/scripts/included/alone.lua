-- A semaphore that nobody else holds or waits for: there is an answer when it is that simple.
if code == ACQUIRE then
  if not text or byte(text) == IDLE then
    -- A token that is ahead of the clock does not tell when it was given.
    if not alone and isOnTime and lease ~= '-' and weight <= permits then
      expiry = ceil(now + lease)
      ttl = ttl or string.format('%.0f', 2 * (expiry - now) + IDLE_TTL_MS)
      alone = pack(ALONE_FORM, ALONE, permits, least, expiry, weight, #me, me)
    end
    local before, last = 0, 0
    if text then _, before, last = parse(IDLE_FORM, text) end
    if alone and last < least then
      call('SET', K, alone .. sub(arg, #terms + 2), 'PX', ttl)
      answer = (before == 0 or before == permits) and least or { 1, before, least, expiry, now, permits }
    end
  end
elseif code == RELEASE then
  if not text or byte(text) == IDLE then
    answer = 0
  elseif byte(text) == ALONE then
    local at = CLIENT_AT + 1 + byte(text, CLIENT_AT)
    local after = at + #arg - 1
    if sub(text, at, after - 1) == sub(arg, 2) and (after > #text or byte(text, after) == EQUALS) then
      local given, ends = parse('<I7I7', text, TOKEN_AT)
      -- When it is refused, the rest knows what to do.
      if ends > now and given <= micros
        and not redis.pcall('SET', K, IDLE_MARK .. sub(text, 2, TOKEN_AT + 6), 'PX', IDLE_TTL).err then answer = 1 end
    end
  end
end
