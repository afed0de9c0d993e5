/**
 * Lua: the token log of a job, a list in which each entry, a TokensEvent as JSON, is followed by how long the log is
 * after it: so its length is its last element, and what lies behind a position is read from its end.
 * Needs the locals OWN and LOG_TTL_MS.
 */
export const TOKEN_LOG = `
-- The length of the log at this key, as a decimal.
local function lengthAt(key)
  return redis.call('LINDEX', key, -1) or '0'
end

local function logLength(id)
  return tonumber(lengthAt(OWN .. 'tokens:' .. id))
end

-- The entries that end behind a position: most readers have all but the last few.
local function logEntries(id, position)
  local key, latest, last, done = OWN .. 'tokens:' .. id, {}, -1, false
  repeat
    local part = redis.call('LRANGE', key, last - 255, last)
    for at = #part, 2, -2 do
      done = tonumber(part[at]) <= position
      if done then break end
      latest[#latest + 1] = part[at - 1]
    end
    last = last - 256
  until done or #part < 256
  local entries = {}
  for at = #latest, 1, -1 do entries[#entries + 1] = latest[at] end
  return entries
end

-- Appends what reaches from one length to another, both decimals, if the log is as long as the first. Returns how long
-- it is then, and true if something was appended.
local function logAppend(id, position, ending, event)
  local key = OWN .. 'tokens:' .. id
  local length = lengthAt(key)
  if length ~= position then return tonumber(length) end
  redis.call('RPUSH', key, event, ending)
  -- A log gets its life with its first entry; whoever holds the job renews it now and then.
  if length == '0' then redis.call('PEXPIRE', key, LOG_TTL_MS) end
  return tonumber(ending), true
end
`;
