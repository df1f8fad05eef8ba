-- What an acquisition says before told, its id and label. Those of one call mostly say the same.
if code == ACQUIRE and sub(arg, 1, #terms) ~= terms then
  terms, permits, weightText, lease, room, priority = match(arg, '^(A(%d+),(%d+),([^,]+),([^,]+),(%S+) )')
  permits, weight, alone, ttl = permits + 0, weightText + 0, nil, nil
end
