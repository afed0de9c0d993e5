import { bullmqFunction } from './bullmq-scripts.ts';

/**
 * Lua: BullMQ's ends of a job. `finish` returns 0, or BullMQ's code: −1 job missing, −2 lock missing, −3 not active,
 * −6 lock held by another. Needs the locals BULL and RESULT_TTL_S.
 */
export const JOB_ENDS: string = `
${bullmqFunction('bullmqMoveToFinished', 'moveToFinished-14')}

local function nowMs()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Jobs per second, averaged exponentially over half a minute: {jobs, tokens}.
local DRAIN_WINDOW_MS = 30000
local function drainRate(now)
  local seen = redis.call('HMGET', OWN .. 'drain', 'at', 'jobs')
  if not seen[1] then return 0 end
  return tonumber(seen[2]) * math.exp(-(now - tonumber(seen[1])) / DRAIN_WINDOW_MS)
end

local function countDrained(now, jobs)
  local rate = drainRate(now) + jobs * 1000 / DRAIN_WINDOW_MS
  redis.call('HSET', OWN .. 'drain', 'at', now, 'jobs', string.format('%.6f', rate))
  redis.call('PEXPIRE', OWN .. 'drain', 10 * DRAIN_WINDOW_MS)
end

local function finish(id, token, outcome, value, now)
  local property = outcome == 'completed' and 'returnvalue' or 'failedReason'
  local options = {
    token = token, keepJobs = { age = RESULT_TTL_S }, lockDuration = 1000, attempts = 1, maxMetricsSize = '',
    fpof = false, cpof = false, idof = false, rdof = false,
  }
  local fields = outcome == 'failed' and cmsgpack.pack({ 'stacktrace', '[]' }) or nil
  return bullmqMoveToFinished({
    BULL .. 'wait', BULL .. 'active', BULL .. 'prioritized', BULL .. 'events', BULL .. 'stalled', BULL .. 'limiter',
    BULL .. 'delayed', BULL .. 'paused', BULL .. 'meta', BULL .. 'pc', BULL .. outcome, BULL .. id,
    BULL .. 'metrics:' .. outcome, BULL .. 'marker',
  }, { id, now, property, value, outcome, '0', BULL, cmsgpack.pack(options), fields })
end
`;

/** Lua: hands a job back to the front of its priority, and wakes an idle worker (BullMQ's script sets no marker then). */
export const JOB_HAND_BACK: string = `
${bullmqFunction('bullmqMoveToWait', 'moveJobFromActiveToWait-9')}

local function handBack(id, token)
  local code = bullmqMoveToWait({
    BULL .. 'active', BULL .. 'wait', BULL .. 'stalled', BULL .. 'paused', BULL .. 'meta', BULL .. 'limiter',
    BULL .. 'prioritized', BULL .. 'marker', BULL .. 'events',
  }, { id, token, BULL .. id })
  if code < 0 then return code end
  if redis.call('HEXISTS', BULL .. 'meta', 'paused') == 0 then redis.call('ZADD', BULL .. 'marker', 0, '0') end
  return 0
end
`;

/** Lua: hands a job back, to be claimed not before some milliseconds have passed. */
export const JOB_LATER: string = `
${bullmqFunction('bullmqMoveToDelayed', 'moveToDelayed-11')}

local function handBackLater(id, token, delayMs, now)
  return bullmqMoveToDelayed({
    BULL .. 'marker', BULL .. 'active', BULL .. 'prioritized', BULL .. 'delayed', BULL .. id, BULL .. 'events',
    BULL .. 'meta', BULL .. 'stalled', BULL .. 'wait', BULL .. 'limiter', BULL .. 'pc',
  }, { BULL, now, id, token, delayMs, '1', nil, '0' })
end
`;

/**
 * Lua: renews a lock. One that lapsed (Redis was frozen, or this worker was) is taken again while the job is still
 * active and nobody else has taken it.
 */
export const JOB_LOCK = `
local function keepLock(id, token)
  local key = BULL .. id .. ':lock'
  local holder = redis.call('GET', key)
  if holder and holder ~= token then return false end
  if not holder and not redis.call('LPOS', BULL .. 'active', id) then return false end
  redis.call('SET', key, token, 'PX', LOCK_MS)
  redis.call('SREM', BULL .. 'stalled', id)
  return true
end
`;
