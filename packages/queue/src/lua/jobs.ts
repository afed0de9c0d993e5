import { bullmqFunction } from './bullmq-scripts.ts';
import { SUSPECT_SCORE } from './suspects.ts';
import { FILE_WEBHOOK } from './webhooks.ts';

/**
 * Lua: how much work waits, and how fast work is done; both in tokens, as `work-of.ts` estimates them at submission.
 *
 * `work` holds the waiting work by BullMQ priority. Jobs of foreign producers carry no estimate and count nothing. What
 * goes astray (a job removed by hand) is forgotten when the queue is empty.
 *
 * `drain` holds the rate: jobs and work per millisecond, averaged exponentially over half a minute of *busy* time, that
 * is, while jobs wait: then workers are full, and what they do is what they can do.
 */
export const WORK = `
local DRAIN_WINDOW_MS = 30000

local function nowMs()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function waitingJobs()
  return redis.call('LLEN', BULL .. 'wait') + redis.call('ZCARD', BULL .. 'prioritized')
end

local function addWork(id, sign)
  local job = redis.call('HMGET', BULL .. id, 'shoal:work', 'priority')
  if job[1] then redis.call('HINCRBY', OWN .. 'work', job[2] or 0, sign * tonumber(job[1])) end
end

-- Waiting work of this BullMQ priority and those before it.
local function workAhead(priority)
  local work, by = 0, redis.call('HGETALL', OWN .. 'work')
  for at = 1, #by, 2 do
    if tonumber(by[at]) <= priority then work = work + math.max(0, tonumber(by[at + 1])) end
  end
  return work
end

-- Jobs and work per second; nil before the first second of busy time.
local function drainRate()
  local seen = redis.call('HMGET', OWN .. 'drain', 'busy', 'jobs', 'work')
  local busy = tonumber(seen[1] or 0)
  if busy < 1000 then return nil, nil end
  local share = 1 - math.exp(-busy / DRAIN_WINDOW_MS)
  return tonumber(seen[2]) * 1000 / share, tonumber(seen[3]) * 1000 / share
end

local function countDrained(now, jobs, work)
  local key = OWN .. 'drain'
  local seen = redis.call('HMGET', key, 'at', 'busy', 'jobs', 'work', 'full')
  local isFull = waitingJobs() > 0 and '1' or '0'
  local elapsed = now - tonumber(seen[1] or now)
  -- The time since the last look was busy if jobs waited at both its ends.
  if seen[5] == '1' and isFull == '1' and elapsed < DRAIN_WINDOW_MS then
    local keep = math.exp(-elapsed / DRAIN_WINDOW_MS)
    redis.call('HSET', key, 'busy', math.min(tonumber(seen[2]) + elapsed, 10 * DRAIN_WINDOW_MS),
      'jobs', string.format('%.9f', tonumber(seen[3]) * keep + jobs / DRAIN_WINDOW_MS),
      'work', string.format('%.9f', tonumber(seen[4]) * keep + work / DRAIN_WINDOW_MS))
  elseif not seen[1] then
    redis.call('HSET', key, 'busy', 0, 'jobs', 0, 'work', 0)
  end
  redis.call('HSET', key, 'at', now, 'full', isFull)
  redis.call('PEXPIRE', key, 3600000)
end
`;

/**
 * Lua: BullMQ's ends of a job. `finish` returns 0, or BullMQ's code: −1 job missing, −2 lock missing, −3 not active,
 * −6 lock held by another. A job that has a webhook is put into the outbox by its end. Needs the locals BULL, OWN and
 * RESULT_TTL_S: finished jobs older than that are removed by the way; 0 removes none.
 */
export const JOB_ENDS: string = `
${WORK}
${FILE_WEBHOOK}
${bullmqFunction('bullmqMoveToFinished', 'moveToFinished-14')}

-- Jobs finished and failed per minute, which Bull Board draws.
local METRICS_MINUTES = '1440'
local NO_STACKTRACE = cmsgpack.pack({ 'stacktrace', '[]' })

-- BullMQ's keys and options, but for what differs from job to job; made by the first end.
local finishKeys, finishOptions
local function prepareFinish()
  finishKeys = {
    BULL .. 'wait', BULL .. 'active', BULL .. 'prioritized', BULL .. 'events', BULL .. 'stalled', BULL .. 'limiter',
    BULL .. 'delayed', BULL .. 'paused', BULL .. 'meta', BULL .. 'pc', '', '', '', BULL .. 'marker',
  }
  finishOptions = {
    keepJobs = RESULT_TTL_S > 0 and { age = RESULT_TTL_S } or { count = -1 }, lockDuration = 1000, attempts = 1, maxMetricsSize = METRICS_MINUTES,
    fpof = false, cpof = false, idof = false, rdof = false,
  }
end

local function finish(id, token, outcome, value, now)
  local property = outcome == 'completed' and 'returnvalue' or 'failedReason'
  if not finishKeys then prepareFinish() end
  finishKeys[11], finishKeys[12], finishKeys[13] = BULL .. outcome, BULL .. id, BULL .. 'metrics:' .. outcome
  finishOptions.token = token
  local fields = outcome == 'failed' and NO_STACKTRACE or nil
  local code = bullmqMoveToFinished(finishKeys,
    { id, now, property, value, outcome, '0', BULL, cmsgpack.pack(finishOptions), fields })
  if code == 0 then
    local hook = redis.call('HMGET', BULL .. id, 'shoal:hook', 'shoal:tenant')
    if hook[1] then fileWebhook(id, hook[1], hook[2] or '', outcome, value, now) end
  end
  return code
end
`;

/**
 * Lua: hands a job back to the front of its priority, a suspect to the other suspects, and wakes an idle worker (BullMQ's
 * script sets no marker then). Needs the functions of token-log.ts.
 */
export const JOB_HAND_BACK: string = `
${bullmqFunction('bullmqMoveToWait', 'moveJobFromActiveToWait-9')}

local function handBack(id, token)
  local code = bullmqMoveToWait({
    BULL .. 'active', BULL .. 'wait', BULL .. 'stalled', BULL .. 'paused', BULL .. 'meta', BULL .. 'limiter',
    BULL .. 'prioritized', BULL .. 'marker', BULL .. 'events',
  }, { id, token, BULL .. id })
  if code < 0 then return code end
  local job = redis.call('HMGET', BULL .. id, 'shoal:suspect', 'shoal:base')
  if tonumber(job[1] or 0) > 0 then
    if logLength(id) > tonumber(job[2] or 0) then
      -- It has written since: whatever killed its worker, it was not this.
      redis.call('HDEL', BULL .. id, 'shoal:suspect', 'shoal:deaths')
    else
      redis.call('ZADD', BULL .. 'prioritized', 'XX', ${SUSPECT_SCORE}, id)
    end
  end
  addWork(id, 1)
  if redis.call('HEXISTS', BULL .. 'meta', 'paused') == 0 then redis.call('ZADD', BULL .. 'marker', 0, '0') end
  return 0
end
`;

/** Lua: hands a job back, to be claimed not before some milliseconds have passed. */
export const JOB_LATER: string = `
${bullmqFunction('bullmqMoveToDelayed', 'moveToDelayed-11')}

local function handBackLater(id, token, delayMs, now)
  local code = bullmqMoveToDelayed({
    BULL .. 'marker', BULL .. 'active', BULL .. 'prioritized', BULL .. 'delayed', BULL .. id, BULL .. 'events',
    BULL .. 'meta', BULL .. 'stalled', BULL .. 'wait', BULL .. 'limiter', BULL .. 'pc',
  }, { BULL, now, id, token, delayMs, '1', nil, '0' })
  -- Its next claim takes it off again.
  if code >= 0 then addWork(id, 1) end
  return code
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
