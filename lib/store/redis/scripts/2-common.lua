-- What the rest of the script is made of.

-- What is done although the memory is full.
local essential = false

-- A full memory refuses every write that may need some, also those that give back or keep what is held. After a write
-- that needs none Redis lets a script go on.
local function write(H, ...)
  local reply = redis.pcall(...)
  if type(reply) ~= 'table' or not reply.err then return end
  if essential and find(reply.err, 'OOM', 1, true) then call('HDEL', H, '') end
  call(...)
end

-- @param code of the operation, text what K has · @return its answer, when nobody else holds or waits
local function performAlone(code, K, text, arg)
  local answer
  include('terms')
  include('alone')
  return answer
end

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

local function announce(s, client, id, expiry, token, acquired)
  if client == me then
    local at = #own
    own[at + 1], own[at + 2], own[at + 3], own[at + 4], own[at + 5] = id, token, expiry, acquired, s.limit
  else
    local text = string.format('%s %.0f %.0f %.0f %.0f', id, token, expiry, acquired, s.limit)
    local grants = theirs[client] or {}
    theirs[client] = grants
    grants[#grants + 1] = text
  end
end

local function tellTheirs()
  for client, grants in pairs(theirs) do
    call('PUBLISH', prefix .. ':@' .. client, table.concat(grants, ','))
  end
  theirs = {}
end

