import { bullmqFunction } from './bullmq-scripts.ts';
import { SHARE_OF } from './share-of.ts';
import { QUARANTINE_MS, SUSPECT_SCORE } from './suspects.ts';

/** BullMQ priority of a job that was added without one: the default, 5. */
const DEFAULT_BULL_PRIORITY = 6;
/** Most suspects that run together when they were seen to die once. */
const SMALL_BATCH = 4;
/** Jobs without a priority that one claim re-files. */
const REFILED_PER_STEP = 256;

/**
 * Lua: claims jobs by BullMQ's own script, each under its own lock token. Before that, jobs in BullMQ's `wait` list
 * (added without a priority, or put there by a stall or a retry, which lose theirs) are filed under their priority:
 * those that were claimed before at its front. Where nothing is out of the ordinary, only the first is claimed by it (see
 * plain.ts). Needs the locals BULL, OWN, STEP_ID, LOCK_MS, WORKER and the functions of jobs.ts, plain.ts and token-log.ts.
 */
export const CLAIM: string = `
${SHARE_OF}
${bullmqFunction('bullmqMoveToActive', 'moveToActive-11')}
local SUSPECT_SCORE = ${SUSPECT_SCORE}

local function scoreOf(id)
  local job = redis.call('HMGET', BULL .. id, 'priority', 'ats', 'shoal:suspect')
  local priority = tonumber(job[1] or 0)
  if not priority or priority < 1 then
    priority = ${DEFAULT_BULL_PRIORITY}
    redis.call('HSET', BULL .. id, 'priority', priority)
  end
  local score
  if tonumber(job[3] or 0) > 0 then
    score = SUSPECT_SCORE
  elseif tonumber(job[2] or 0) > 0 then
    score = priority * 0x100000000
  else
    score = priority * 0x100000000 + redis.call('INCR', BULL .. 'pc') % 0x100000000
  end
  return score
end

-- An id behind which there is no job is foreign, and forgotten.
local function refile()
  for _ = 1, ${REFILED_PER_STEP} do
    local id = redis.call('RPOP', BULL .. 'wait')
    if not id then return end
    if redis.call('TYPE', BULL .. id).ok == 'hash' then redis.call('ZADD', BULL .. 'prioritized', scoreOf(id), id) end
  end
end

local activeKeys
local function moveToActive(token, now)
  activeKeys = activeKeys or {
    BULL .. 'wait', BULL .. 'active', BULL .. 'prioritized', BULL .. 'events', BULL .. 'stalled', BULL .. 'limiter',
    BULL .. 'delayed', BULL .. 'paused', BULL .. 'meta', BULL .. 'pc', BULL .. 'marker',
  }
  return bullmqMoveToActive(activeKeys,
    { BULL, now, cmsgpack.pack({ token = token, lockDuration = LOCK_MS, name = WORKER }) })
end

local function fieldsOf(flat)
  local fields = {}
  for at = 1, #flat, 2 do fields[flat[at]] = flat[at + 1] end
  return fields
end

-- Ids of foreign things: not a job at all. BullMQ moved it to active before it stumbled.
local function dropForeign()
  local id = redis.call('LINDEX', BULL .. 'active', 0)
  if not id or redis.call('TYPE', BULL .. id).ok == 'hash' then return false end
  redis.call('LREM', BULL .. 'active', 1, id)
  redis.call('DEL', BULL .. id .. ':lock')
  return true
end

local UNSUPPORTED = { 'parentKey', 'parent', 'deid', 'rjk' }
local function unsupported(fields)
  for _, name in ipairs(UNSUPPORTED) do
    if fields[name] then return name end
  end
end

-- Flows, deduplication and schedulers reach into other jobs: such a job is failed before anything is written for it.
local function turnAway(id, token, name, now)
  redis.call('HDEL', BULL .. id, unpack(UNSUPPORTED))
  local message = 'a job of this queue cannot have a parent, deduplication or a schedule (' .. name .. ')'
  local reason = cjson.encode({ code = 'invalid_request_error', message = message })
  return finish(id, token, 'failed', reason, now)
end

-- One job: its hash and log entries, or nil and BullMQ's reply when there was none.
local function claimOne(token, alone, now)
  local reply = moveToActive(token, now)
  local id = reply[2]
  if id == 0 then return nil, reply end
  local flat = reply[1]
  local fields = fieldsOf(flat)
  if fields['shoal:work'] then redis.call('HINCRBY', OWN .. 'work', fields['priority'] or 0, -tonumber(fields['shoal:work'])) end
  local foreign = unsupported(fields)
  if foreign then
    turnAway(id, token, foreign, now)
    return false
  end
  -- A fresh job has no log, and none of these fields yet.
  if tonumber(fields['ats']) == 1 and not alone then return { id, token, flat, {} } end
  redis.call('HSET', BULL .. id, 'shoal:base', logLength(id), 'shoal:alone', alone and 1 or 0, 'shoal:ahead', 0)
  return { id, token, flat, logEntries(id, 0) }
end

-- A job claimed by a step whose reply was lost, as that step claimed it; nil when it is no longer held.
local function reclaim(id, token)
  if redis.call('GET', BULL .. id .. ':lock') ~= token then return nil end
  return { id, token, redis.call('HGETALL', BULL .. id), logEntries(id, 0) }
end

-- How many jobs may be taken, and which of them are suspects. What is not under suspicion goes first; then one worker
-- at a time takes nothing more until it is empty, which is said by nil, and runs suspects and nothing else: alone, or
-- with few others that were seen to die only once.
local function allowance(wanted, held)
  local suspects = redis.call('ZRANGEBYSCORE', BULL .. 'prioritized', SUSPECT_SCORE, '+inf', 'LIMIT', 0, ${SMALL_BATCH})
  if #suspects == 0 then return wanted, {} end
  local ordinary = redis.call('ZCOUNT', BULL .. 'prioritized', '-inf', '(' .. string.format('%.0f', SUSPECT_SCORE))
  local quarantine = redis.call('GET', OWN .. 'quarantine')
  if held > 0 then
    if quarantine and quarantine ~= WORKER then return math.min(wanted, ordinary), {} end
    redis.call('SET', OWN .. 'quarantine', WORKER, 'PX', ${QUARANTINE_MS})
    return nil, {}
  end
  if ordinary > 0 and quarantine ~= WORKER then return math.min(wanted, ordinary), {} end
  if quarantine == WORKER then redis.call('DEL', OWN .. 'quarantine') end
  local chosen = {}
  for _, id in ipairs(suspects) do
    local deaths = tonumber(redis.call('HGET', BULL .. id, 'shoal:suspect') or 0)
    if deaths > 1 and #chosen > 0 then break end
    -- To the very front, where BullMQ's script takes from.
    redis.call('ZADD', BULL .. 'prioritized', #chosen, id)
    chosen[#chosen + 1] = id
    if deaths > 1 or #chosen >= wanted then break end
  end
  return #chosen, chosen
end

-- Ordinary jobs that never ran, ahead of a free slot: so many wait that whoever becomes idle finds others.
local function claimAhead(most, held, now, claims, ids)
  if redis.call('ZCOUNT', OWN .. 'idle', now, '+inf') > 0 or waitingJobs() - most < held + #claims then return end
  -- Some worker has to empty itself for suspects, which it sees when it asks for free slots.
  if redis.call('ZCOUNT', BULL .. 'prioritized', string.format('%.0f', SUSPECT_SCORE), '+inf') > 0 then return end
  claimPlain(most, now, claims, ids, true)
end

local function claimAll(wanted, ahead, held, now)
  local claims, limitTtl, nextDelayed, turnedAway = {}, 0, 0, 0
  local key = OWN .. 'step:' .. STEP_ID
  redis.call('ZREM', OWN .. 'idle', WORKER)
  local before = redis.call('GET', key)
  if before then
    for index, id in ipairs(cjson.decode(before)) do
      local claim = reclaim(id, STEP_ID .. ':' .. index)
      if claim then claims[#claims + 1] = claim end
    end
    return claims, 0, 0, waitingJobs(), 0
  end
  if redis.call('LLEN', BULL .. 'wait') > 0 then refile() end
  local limit, suspects = 0, {}
  if wanted > 0 then limit, suspects = allowance(shareOf(wanted, now), held) end
  if not limit then
    redis.call('ZADD', BULL .. 'marker', 0, '0')
    return {}, 0, 0, waitingJobs(), -1
  end
  local ids = {}
  while #claims < limit do
    local token = STEP_ID .. ':' .. (#claims + 1)
    local ok, claim, reply = pcall(claimOne, token, #suspects == 1, now)
    if not ok then
      if not dropForeign() then break end
    elseif claim == nil then
      limitTtl, nextDelayed = reply[3], reply[4]
      break
    elseif claim then
      claims[#claims + 1] = claim
      ids[#ids + 1] = claim[1]
      if #suspects == 0 then pcall(claimPlain, limit - #claims, now, claims, ids) end
    else
      turnedAway = turnedAway + 1
      if turnedAway > 64 then break end
    end
  end
  if ahead > 0 and #claims == wanted and #suspects == 0 then pcall(claimAhead, ahead, held, now, claims, ids) end
  if #ids > 0 then redis.call('SET', key, cjson.encode(ids), 'PX', 60000) end
  for _, id in ipairs(suspects) do
    if redis.call('ZSCORE', BULL .. 'prioritized', id) then redis.call('ZADD', BULL .. 'prioritized', SUSPECT_SCORE, id) end
  end
  local left = waitingJobs()
  if left == 0 then
    redis.call('ZREM', BULL .. 'marker', '0')
    redis.call('DEL', OWN .. 'work')
  end
  return claims, limitTtl, nextDelayed, left, #suspects
end
`;
