/**
 * Lua: request records of shared generations. A record is no job: `alias:<record>` names the job that generates for it,
 * or `!<status>:<job>` once it was cancelled or expired by itself. `records:<job>` is the set of records that still
 * want the job; `shared:<key>` is the job that answers a sharing key; `deadlines` holds the records' deadlines.
 * A record lives for RECORD_TTL_MS behind the longest time that it may wait. Needs the locals BULL, OWN and RECORD_TTL_MS.
 */
export const RECORDS = `
-- The job behind an id, and how its record ended by itself, if it did.
local function resolve(id)
  local alias = redis.call('GET', OWN .. 'alias:' .. id)
  if not alias then return id, nil end
  local status, job = string.match(alias, '^!(%a+):(.*)$')
  return job or alias, status
end

local function keepFor(key, ms)
  -- Another record of the same job may have to be kept for longer.
  if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, ms) end
end

local function join(record, job, deadline, keptMs)
  redis.call('SET', OWN .. 'alias:' .. record, job, 'PX', keptMs)
  if redis.call('HEXISTS', BULL .. job, 'finishedOn') == 1 then return end
  redis.call('SADD', OWN .. 'records:' .. job, record)
  keepFor(OWN .. 'records:' .. job, keptMs)
  if deadline > 0 then redis.call('ZADD', OWN .. 'deadlines', deadline, record) end
end

-- Ends a record by itself; true when nobody wants the job any more.
local function leave(record, job, status)
  redis.call('ZREM', OWN .. 'deadlines', record)
  redis.call('SREM', OWN .. 'records:' .. job, record)
  -- Whoever ends it may keep results for less long than whoever submitted it.
  local kept = math.max(RECORD_TTL_MS, redis.call('PTTL', OWN .. 'alias:' .. record))
  redis.call('SET', OWN .. 'alias:' .. record, '!' .. status .. ':' .. job, 'PX', kept)
  if redis.call('SCARD', OWN .. 'records:' .. job) > 0 then return false end
  local key = redis.call('HGET', BULL .. job, 'shoal:key')
  if key and redis.call('GET', OWN .. 'shared:' .. key) == job then redis.call('DEL', OWN .. 'shared:' .. key) end
  return true
end
`;
