/**
 * Lua: `claimPlain(most, now, claims, ids, ahead)` adds up to `most` claims of ordinary jobs; `ahead`: marked as held ahead
 * of a slot. Needs the locals BULL, OWN, STEP_ID, LOCK_MS and WORKER.
 *
 * Many ordinary jobs at once. BullMQ's scripts take one job per call and ask the same questions of the queue for
 * each; what differs is a fraction. So the first claim and the first end of a step go through BullMQ's own text, and the
 * others, where that text would do nothing else, through what is left of it: the same keys and events in fewer
 * commands. Whatever is out of the ordinary (a flow, deduplication, a pause, a limiter, global concurrency, a redelivery,
 * a webhook, a lapsed lock) is left to BullMQ's text. `plain.test.ts` compares both, key by key. Written against the
 * scripts whose hashes `bullmq-scripts.ts` pins. See docs/decisions/0015.
 */
export const CLAIM_PLAIN = `
local MOST_AT_ONCE = 1000

local function isPlainQueue(now)
  local meta = redis.call('HMGET', BULL .. 'meta', 'paused', 'concurrency', 'max')
  return not (meta[1] or meta[2] or meta[3])
    and redis.call('LLEN', BULL .. 'wait') == 0
    and redis.call('ZCOUNT', BULL .. 'delayed', 0, (now + 1) * 0x1000 - 1) == 0
end

-- A fresh job's hash; nil when there is something about it.
local function plainJob(id)
  local job = redis.pcall('HMGET', BULL .. id, 'timestamp', 'data', 'opts', 'priority', 'shoal:predicted', 'shoal:work',
    'ats', 'defa', 'parentKey', 'parent', 'deid', 'rjk')
  if job.err or not job[1] then return nil end
  for at = 7, 12 do
    if job[at] then return nil end
  end
  return job
end

local function claimPlain(most, now, claims, ids, ahead)
  if most < 1 or not isPlainQueue(now) then return end
  local taken, jobs = {}, {}
  for _, id in ipairs(redis.call('ZRANGE', BULL .. 'prioritized', 0, math.min(most, MOST_AT_ONCE) - 1)) do
    local job = plainJob(id)
    if not job then break end
    taken[#taken + 1], jobs[#jobs + 1] = id, job
  end
  if #taken == 0 then return end
  redis.call('LPUSH', BULL .. 'active', unpack(taken))
  redis.call('ZREMRANGEBYRANK', BULL .. 'prioritized', 0, #taken - 1)
  local works = {}
  for at, id in ipairs(taken) do
    local job, token = jobs[at], STEP_ID .. ':' .. (#claims + 1)
    redis.call('SET', BULL .. id .. ':lock', token, 'PX', LOCK_MS)
    redis.call('XADD', BULL .. 'events', '*', 'event', 'active', 'jobId', id, 'prev', 'waiting')
    redis.call('HSET', BULL .. id, 'processedOn', now, 'pb', WORKER, 'ats', 1)
    if ahead then redis.call('HSET', BULL .. id, 'shoal:ahead', 1) end
    local priority = job[4] or '0'
    if job[6] then works[priority] = (works[priority] or 0) + tonumber(job[6]) end
    ids[#ids + 1] = id
    claims[#claims + 1] = { id, token, { 'timestamp', job[1], 'data', job[2] or '', 'opts', job[3] or '',
      'priority', priority, 'shoal:predicted', job[5] or '-1', 'processedOn', string.format('%.0f', now), 'ats', '1' }, {} }
  end
  for priority, work in pairs(works) do redis.call('HINCRBY', OWN .. 'work', priority, -work) end
end
`;

/**
 * Lua: the ends of ordinary jobs, as above. `finishPlain(id, token, value, now)` completes a job and returns its work, or
 * nil when it is not ordinary; `settlePlain()` writes what such jobs have in common, and must run before anything else
 * looks at one of them (`unsettled[id]`). Needs the locals BULL and METRICS_MINUTES.
 */
export const FINISH_PLAIN = `
local unsettled = {}
local locks, settledIds, scores = {}, {}, {}

local function finishPlain(id, token, value, now)
  local key = BULL .. id
  if redis.call('GET', key .. ':lock') ~= token then return nil end
  local job = redis.call('HMGET', key, 'timestamp', 'atm', 'shoal:work', 'parentKey', 'parent', 'deid', 'shoal:hook')
  if not job[1] or job[4] or job[5] or job[6] or job[7] then return nil end
  if redis.call('EXISTS', key .. ':dependencies', key .. ':unsuccessful') > 0 then return nil end
  if not redis.call('LPOS', BULL .. 'active', id, 'RANK', -1) then return nil end
  -- What Redis refuses when its memory is full comes first: then nothing is done.
  redis.call('HSET', key, 'atm', tonumber(job[2] or 0) + 1, 'returnvalue', value, 'finishedOn', now)
  redis.call('XADD', BULL .. 'events', '*', 'event', 'completed', 'jobId', id, 'returnvalue', value, 'prev', 'active')
  redis.call('LREM', BULL .. 'active', -1, id)
  unsettled[id] = true
  locks[#locks + 1], settledIds[#settledIds + 1] = key .. ':lock', id
  scores[#scores + 1], scores[#scores + 2] = now, id
  return tonumber(job[3] or 0)
end

local function settlePlain()
  if #settledIds == 0 then return end
  redis.call('DEL', unpack(locks))
  redis.call('SREM', BULL .. 'stalled', unpack(settledIds))
  redis.call('ZADD', BULL .. 'completed', unpack(scores))
  -- BullMQ's text, which had the first end of the step, has begun the minute.
  if METRICS_MINUTES ~= '' then redis.call('HINCRBY', BULL .. 'metrics:completed', 'count', #settledIds) end
  if redis.call('LLEN', BULL .. 'active') == 0 and waitingJobs() == 0 then
    redis.call('XADD', BULL .. 'events', '*', 'event', 'drained')
  end
  unsettled, locks, settledIds, scores = {}, {}, {}, {}
end
`;
