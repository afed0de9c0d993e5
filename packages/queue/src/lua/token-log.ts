/**
 * Lua: the token log of a job, a stream whose entry id is `<length of the log after the entry>-1`, so that its length
 * is its last id, and reading from a position is a range. The one field `e` holds the TokensEvent as JSON.
 * Needs the locals OWN and LOG_TTL_MS.
 */
export const TOKEN_LOG = `
-- The length of the log at this key, as a decimal.
local function lengthAt(key)
  local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  return last and string.match(last[1], '^%d+') or '0'
end

local function logLength(id)
  return tonumber(lengthAt(OWN .. 'log:' .. id))
end

local function logEntries(id)
  local entries = {}
  for _, entry in ipairs(redis.call('XRANGE', OWN .. 'log:' .. id, '-', '+')) do entries[#entries + 1] = entry[2][2] end
  return entries
end

-- Appends what reaches from one length to another, both decimals, if the log is as long as the first. Returns how long
-- it is then, and true if something was appended.
local function logAppend(id, position, ending, event)
  local key = OWN .. 'log:' .. id
  local length = lengthAt(key)
  if length ~= position then return tonumber(length) end
  redis.call('XADD', key, ending .. '-1', 'e', event)
  -- A log gets its life with its first entry; whoever holds the job renews it now and then.
  if length == '0' then redis.call('PEXPIRE', key, LOG_TTL_MS) end
  return tonumber(ending), true
end
`;
