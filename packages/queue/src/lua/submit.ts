import { JOB_NAME } from '@shoal/protocol';
import { Script } from '../script.ts';
import { bullmqFunction } from './bullmq-scripts.ts';
import { WORK } from './jobs.ts';
import { RECORDS } from './records.ts';
import { MAX_TENANT_WEBHOOKS, MAX_WEBHOOKS, TENANT_WEBHOOKS } from './webhooks.ts';

/** Jobs that one list keeps: the newest. */
const MAX_LISTED = 10_000;
/** The longest that a job may wait: its deadline is at most a day away. */
const LONGEST_WAIT_MS = 86_400_000;

/** What is the same for all that one producer submits: one argument, which is written once. */
export interface SubmitTerms {
  own: string;
  resultTtlS: number;
  recordTtlMs: number;
  /** Most jobs waiting. */
  maxQueueSize: number;
  /** Longest wait in milliseconds, 0 for any. */
  maxQueueWaitMs: number;
}

export function submitTerms({ own, resultTtlS, recordTtlMs, maxQueueSize, maxQueueWaitMs }: SubmitTerms): string {
  return JSON.stringify([own, resultTtlS, recordTtlMs, maxQueueSize, maxQueueWaitMs]);
}

/** One job, as the script takes it. */
export interface SubmittedJob {
  id: string;
  /** BullMQ's, ≥ 1. */
  priority: number;
  work: number;
  /** Unix milliseconds, 0 for none. */
  deadline: number;
  data: string;
  /** List that the request is entered in. */
  list?: string;
  /** Trace context as BullMQ carries it. */
  trace?: string;
  /** URL that is told of its end, and whose call that is: '' or left out for nobody's. */
  hook?: string;
  tenant?: string;
  /**
   * With a sharing key, `id` is that of the job to make when none answers the key yet; the record joins whichever it is,
   * and takes its priority with it.
   */
  shared?: { key: string; record: string } | undefined;
}

/** Arguments of {@link SUBMIT}, whose key is BULL. Most jobs have nothing but what every job has. */
export function submitArguments(terms: string, job: SubmittedJob): (string | number)[] {
  const { id, priority, work, deadline, data, list = '', trace = '', hook = '', tenant = '', shared } = job;
  const args = [terms, id, priority, work, deadline, data];
  if (shared !== undefined) args.push(list, trace, hook, shared.key, shared.record);
  else if (hook !== '') args.push(list, trace, hook, '', id, tenant);
  else if (list !== '' || trace !== '') args.push(list, trace);
  return args;
}

/**
 * Adds one job, unless the queue is full or it would wait too long. Key and arguments: {@link submitArguments}.
 * Reply: {`again`} when it is there already; {`added`}, for a new job of a list with the jobs ahead of it and the predicted
 * wait in ms or −1; {`shared`} when it joined a generation that waits or runs, {`cached`}
 * when one that is finished; {`full`, jobs waiting, jobs finished per second or −1, the bound}; {`slow` or `late`,
 * predicted wait in ms, 0, the longest wait}: `late` when the deadline would pass meanwhile; {`hooked`, URLs that wait to
 * be told, 0, 0} when they, or the tenant's own, are too many. Numbers travel as text.
 * The two bounds may have been changed for the whole queue since the producer started (`settings`).
 * Bound, prediction and add are one script: no burst of producers passes them together.
 */
export const SUBMIT: Script = new Script(
  'submit',
  `
local BULL = KEYS[1]
local OWN, RESULT_TTL_S, RECORD_TTL_MS, most, longest = unpack(cjson.decode(ARGV[1]))
local id, priority, work, deadline = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local data, list, trace, hook = ARGV[6], ARGV[7] or '', ARGV[8] or '', ARGV[9] or ''
local key, record, tenant = ARGV[10] or '', ARGV[11] or id, ARGV[12] or ''
local changed = redis.call('HMGET', OWN .. 'settings', 'MAX_QUEUE_SIZE', 'MAX_QUEUE_WAIT_MS')
most, longest = tonumber(changed[1] or most) or most, tonumber(changed[2] or longest) or longest
${WORK}
${bullmqFunction('bullmqAdd', 'addPrioritizedJob-9')}
${RECORDS}
${TENANT_WEBHOOKS}

-- What names a request outlives its wait: until its deadline, or without one for as long as any may wait.
local function keptMs()
  return RECORD_TTL_MS + (deadline > 0 and math.max(0, deadline - nowMs()) or ${LONGEST_WAIT_MS})
end

local function enter(request)
  if list == '' then return end
  local now, kept = nowMs(), RECORD_TTL_MS + ${LONGEST_WAIT_MS}
  redis.call('ZADD', OWN .. list, 'NX', now, request)
  redis.call('ZREMRANGEBYRANK', OWN .. list, 0, -${MAX_LISTED} - 1)
  -- A producer that keeps results for less long than another one shortens nothing that the other has listed.
  if redis.call('PTTL', OWN .. list) > kept then return end
  redis.call('ZREMRANGEBYSCORE', OWN .. list, '-inf', now - kept)
  redis.call('PEXPIRE', OWN .. list, kept)
end

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
  -- Whoever may have killed a worker runs apart, however much it is wanted.
  if tonumber(redis.call('HGET', BULL .. job, 'shoal:suspect') or 0) > 0 then return end
  local counter = redis.call('INCR', BULL .. 'pc') % 0x100000000
  redis.call('ZADD', BULL .. 'prioritized', priority * 0x100000000 + counter, job)
end

if key ~= '' then
  if redis.call('EXISTS', OWN .. 'alias:' .. record) == 1 then return { 'again' } end
  local job = answering()
  if job then
    join(record, job, deadline, keptMs())
    keepFor(OWN .. 'shared:' .. key, keptMs())
    enter(record)
    raise(job)
    return { redis.call('HEXISTS', BULL .. job, 'finishedOn') == 1 and 'cached' or 'shared' }
  end
end
if redis.call('EXISTS', BULL .. id) == 1 then
  -- A write, so that a WAIT after it waits for the first submission too.
  redis.call('SET', OWN .. 'again', id, 'PX', 1000)
  return { 'again' }
end
local waiting = waitingJobs() + redis.call('ZCARD', BULL .. 'delayed')
local jobsPerSecond, workPerSecond = drainRate()
if waiting >= most then return { 'full', tostring(waiting), tostring(jobsPerSecond or -1), tostring(most) } end
if hook ~= '' then
  local calls = redis.call('ZCARD', OWN .. 'webhooks')
  if calls >= ${MAX_WEBHOOKS} then return { 'hooked', tostring(calls), '0', '0' } end
  local theirs = tenant ~= '' and webhooksOf(tenant, nowMs()) or 0
  if theirs >= ${MAX_TENANT_WEBHOOKS} then return { 'hooked', tostring(theirs), '0', '0' } end
end
local now = nowMs()
local predicted = -1
if waiting == 0 then
  predicted = 0
elseif workPerSecond and workPerSecond > 0 then
  predicted = math.floor(workAhead(priority) / workPerSecond * 1000)
end
if deadline > 0 and now >= deadline then return { 'late', '0', '0', '0' } end
if longest > 0 and predicted > longest then return { 'slow', tostring(predicted), '0', tostring(longest) } end
if deadline > 0 and now + math.max(predicted, 0) > deadline then return { 'late', tostring(predicted), '0', '0' } end
redis.call('HSETNX', BULL .. 'meta', 'opts.maxLenEvents', 1000)
local options = {
  jobId = id, priority = priority, attempts = 1,
  removeOnComplete = { age = RESULT_TTL_S }, removeOnFail = { age = RESULT_TTL_S },
  tm = trace ~= '' and trace or nil,
}
bullmqAdd({
  BULL .. 'marker', BULL .. 'meta', BULL .. 'id', BULL .. 'prioritized', BULL .. 'delayed', BULL .. 'completed',
  BULL .. 'active', BULL .. 'events', BULL .. 'pc',
}, { cmsgpack.pack({ BULL, id, '${JOB_NAME}', now }), data, cmsgpack.pack(options) })
redis.call('HSET', BULL .. id, 'shoal:work', work, 'shoal:predicted', predicted)
redis.call('HINCRBY', OWN .. 'work', priority, work)
if hook ~= '' then redis.call('HSET', BULL .. id, 'shoal:hook', hook, 'shoal:tenant', tenant) end
enter(record)
local place = list ~= '' and redis.call('ZRANK', BULL .. 'prioritized', id)
if key ~= '' then
  redis.call('HSET', BULL .. id, 'shoal:key', key)
  redis.call('SET', OWN .. 'shared:' .. key, id, 'PX', keptMs())
  join(record, id, deadline, keptMs())
end
if place then return { 'added', tostring(redis.call('LLEN', BULL .. 'wait') + place), tostring(predicted) } end
return { 'added' }
`,
);
