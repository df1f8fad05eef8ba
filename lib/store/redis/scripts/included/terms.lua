-- What an acquisition says before its id and label. Those of one call mostly say the same.
if code == ACQUIRE and sub(arg, 1, #terms) ~= terms then
  terms, permits, weightText, lease, room, told, priority = match(arg, '^(A(%d+),(%d+),([^,]+),([^,]+),(%d),(%S+) )')
  permits, weight, alone = tonumber(permits), tonumber(weightText), nil
end
