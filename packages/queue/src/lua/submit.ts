import { Script } from '../script.ts';
import { bullmqFunction } from './bullmq-scripts.ts';
import { WORK } from './jobs.ts';
import { RECORDS } from './records.ts';

/**
 * Adds one job, unless the queue is full or it would wait too long. Arguments: BULL, OWN, RESULT_TTL_S, most jobs
 * waiting, longest wait in ms (0: any), id, job name, BullMQ priority, work, deadline (Unix ms, 0: none), data,
 * RECORD_TTL_MS, sharing key ('' for none), record id. With a sharing key, the id is that of the job to make when none
 * answers the key yet; the record joins whichever it is, and takes its priority with it.
 * Reply: {`added`} (also when it is there already); {`full`, jobs waiting, jobs finished per second or −1}; {`slow` or
 * `late`, predicted wait in ms, 0}: `late` when the deadline would pass meanwhile. Numbers travel as text.
 * Bound, prediction and add are one script: no burst of producers passes them together.
 */
export const SUBMIT: Script = new Script(
  'submit',
  `
local BULL, OWN, RESULT_TTL_S = ARGV[1], ARGV[2], tonumber(ARGV[3])
local most, longest, id, name = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6], ARGV[7]
local priority, work, deadline, data = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10]), ARGV[11]
local RECORD_TTL_MS, key, record = tonumber(ARGV[12]), ARGV[13], ARGV[14]
${WORK}
${bullmqFunction('bullmqAdd', 'addPrioritizedJob-9')}
${RECORDS}

-- The job that answers a sharing key: it waits or runs and is wanted, or it has completed.
local function answering()
  local job = redis.call('GET', OWN .. 'shared:' .. key)
  if not job then return nil end
  local seen = redis.call('HMGET', BULL .. job, 'timestamp', 'finishedOn', 'shoal:cancel')
  if not seen[1] or seen[3] then return nil end
  if seen[2] and not redis.call('ZSCORE', BULL .. 'completed', job) then return nil end
  return job
end

local function raise(job)
  local held = tonumber(redis.call('HGET', BULL .. job, 'priority') or 0)
  if priority >= held or not redis.call('ZSCORE', BULL .. 'prioritized', job) then return end
  addWork(job, -1)
  redis.call('HSET', BULL .. job, 'priority', priority)
  addWork(job, 1)
  local counter = redis.call('INCR', BULL .. 'pc') % 0x100000000
  redis.call('ZADD', BULL .. 'prioritized', priority * 0x100000000 + counter, job)
end

if key ~= '' then
  if redis.call('EXISTS', OWN .. 'alias:' .. record) == 1 then return { 'added' } end
  local job = answering()
  if job then
    join(record, job, deadline)
    raise(job)
    return { 'added' }
  end
end
if redis.call('EXISTS', BULL .. id) == 1 then
  -- A write, so that a WAIT after it waits for the first submission too.
  redis.call('SET', OWN .. 'again', id, 'PX', 1000)
  return { 'added' }
end
local waiting = waitingJobs() + redis.call('ZCARD', BULL .. 'delayed')
local jobsPerSecond, workPerSecond = drainRate()
if waiting >= most then return { 'full', tostring(waiting), tostring(jobsPerSecond or -1) } end
local now = nowMs()
local predicted = -1
if waiting == 0 then
  predicted = 0
elseif workPerSecond and workPerSecond > 0 then
  predicted = math.floor(workAhead(priority) / workPerSecond * 1000)
end
if deadline > 0 and now >= deadline then return { 'late', '0', '0' } end
if longest > 0 and predicted > longest then return { 'slow', tostring(predicted), '0' } end
if deadline > 0 and now + math.max(predicted, 0) > deadline then return { 'late', tostring(predicted), '0' } end
redis.call('HSETNX', BULL .. 'meta', 'opts.maxLenEvents', 1000)
local options = {
  jobId = id, priority = priority, attempts = 1,
  removeOnComplete = { age = RESULT_TTL_S }, removeOnFail = { age = RESULT_TTL_S },
}
bullmqAdd({
  BULL .. 'marker', BULL .. 'meta', BULL .. 'id', BULL .. 'prioritized', BULL .. 'delayed', BULL .. 'completed',
  BULL .. 'active', BULL .. 'events', BULL .. 'pc',
}, { cmsgpack.pack({ BULL, id, name, now }), data, cmsgpack.pack(options) })
redis.call('HSET', BULL .. id, 'shoal:work', work, 'shoal:predicted', predicted)
redis.call('HINCRBY', OWN .. 'work', priority, work)
if key ~= '' then
  redis.call('HSET', BULL .. id, 'shoal:key', key)
  redis.call('SET', OWN .. 'shared:' .. key, id, 'PX', RECORD_TTL_MS)
  join(record, id, deadline)
end
return { 'added' }
`,
);
