-- What the short ways for semaphores that several hold or wait for have in common with the rest of the script.

-- @return the end of a lease, as its text says
local function endOf(lease)
  return lease == '-' and ENDLESS or ceil(now + lease)
end

-- Of a grant that its holder has to claim first.
local function endOfClaim(lease)
  return math.min(endOf(lease), now + CLAIM_MS)
end

-- @return the place of who comes now, and the score in Q
local function placeFor(s, priority)
  local place = math.max(s.place + 1, floor(micros * PLACES_PER_MS / 1000))
  return place, place - priority * PLACES_PER_PRIORITY
end

-- @return id, client, weight, lease, priority, label
local function waiter(member)
  return match(member, '^(%S+) (%S+) (%S+) (%S+) (%S+) (.*)$')
end

local function record(expiry, weight, token, acquired, state, owner)
  return pack(RECORD_FORM, expiry, weight, token, acquired, state) .. owner
end

local function ownerOf(client, label)
  return pack('Bc0', #client, client) .. label
end

-- Of waiters that became holders: what the answer tells their own client, and what others are told.
local own, theirs = {}, {}

local function announce(s, client, id, expiry, token, acquired)
  if client == me then
    local at = #own
    own[at + 1], own[at + 2], own[at + 3], own[at + 4], own[at + 5] = id, token, expiry, acquired, s.limit
  else
    local text = string.format('%s %.0f %.0f %.0f %.0f', id, token, expiry, acquired, s.limit)
    theirs[client] = theirs[client] and theirs[client] .. ',' .. text or text
  end
end

local function tellTheirs()
  for client, text in pairs(theirs) do
    call('PUBLISH', prefix .. ':@' .. client, text)
  end
  theirs = {}
end

