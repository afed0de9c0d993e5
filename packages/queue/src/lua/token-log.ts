/**
 * Lua: the token log of a job, a stream whose entry id is `<length of the log after the entry>-1`, so that its length
 * is its last id, and reading from a position is a range. The one field `e` holds the TokensEvent as JSON.
 * Needs the locals OWN and LOG_TTL_MS.
 */
export const TOKEN_LOG = `
local function logLength(id)
  local last = redis.call('XREVRANGE', OWN .. 'log:' .. id, '+', '-', 'COUNT', 1)
  if #last == 0 then return 0 end
  return tonumber(string.match(last[1][1], '^%d+'))
end

local function logEntries(id)
  local entries = {}
  for _, entry in ipairs(redis.call('XRANGE', OWN .. 'log:' .. id, '-', '+')) do entries[#entries + 1] = entry[2][2] end
  return entries
end

-- A log gets its life with its first entry; whoever holds the job renews it now and then.
local function logAppend(id, length, event, isFirst)
  local key = OWN .. 'log:' .. id
  redis.call('XADD', key, length .. '-1', 'e', event)
  if isFirst then redis.call('PEXPIRE', key, LOG_TTL_MS) end
end
`;
