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
export function submitArguments(terms: string, jobs: readonly SubmittedJob[]): (string | number)[] {
  return [terms, ...jobs.flatMap(encodeJob)];
}

/** The number of its fields, and the fields. */
function encodeJob(job: SubmittedJob): (string | number)[] {
  const { id, priority, work, deadline, data, list = '', trace = '', hook = '', tenant = '', shared } = job;
  const fields = [id, priority, work, deadline, data];
  if (shared !== undefined) fields.push(list, trace, hook, shared.key, shared.record);
  else if (hook !== '') fields.push(list, trace, hook, '', id, tenant);
  else if (list !== '' || trace !== '') fields.push(list, trace);
  return [fields.length, ...fields];
}

/**
 * Adds jobs, each unless the queue is full or it would wait too long. Key and arguments: {@link submitArguments}.
 * Reply, for each: {`again`} when it is there already; {`added`}, for a new job of a list with the jobs ahead of it and
 * the predicted wait in ms or −1; {`shared`} when it joined a generation that waits or runs, {`cached`}
 * when one that is finished; {`full`, jobs waiting, jobs finished per second or −1, the bound}; {`slow` or `late`,
 * predicted wait in ms, 0, the longest wait}: `late` when the deadline would pass meanwhile; {`hooked`, URLs that wait to
 * be told, 0, 0} when they, or the tenant's own, are too many; {`error`, what Redis said} where this one failed, which is
 * nothing to the others. Numbers travel as text.
 * The two bounds may have been changed for the whole queue since the producer started (`settings`).
 * Bound, prediction and add are one script: no burst of producers passes them together.
 */
export const SUBMIT: Script = new Script(
  'submit',
  `
local BULL = KEYS[1]
local OWN, RESULT_TTL_S, RECORD_TTL_MS, most, longest = unpack(cjson.decode(ARGV[1]))
local changed = redis.call('HMGET', OWN .. 'settings', 'MAX_QUEUE_SIZE', 'MAX_QUEUE_WAIT_MS')
most, longest = tonumber(changed[1] or most) or most, tonumber(changed[2] or longest) or longest
${WORK}
${bullmqFunction('bullmqAdd', 'addPrioritizedJob-9')}
${RECORDS}
${TENANT_WEBHOOKS}
local now = nowMs()

-- What names a request outlives its wait: until its deadline, or without one for as long as any may wait.
local function keptMs(deadline)
  return RECORD_TTL_MS + (deadline > 0 and math.max(0, deadline - now) or ${LONGEST_WAIT_MS})
end

local function enter(list, request)
  if list == '' then return end
  local kept = RECORD_TTL_MS + ${LONGEST_WAIT_MS}
  redis.call('ZADD', OWN .. list, 'NX', now, request)
  redis.call('ZREMRANGEBYRANK', OWN .. list, 0, -${MAX_LISTED} - 1)
  -- A producer that keeps results for less long than another one shortens nothing that the other has listed.
  if redis.call('PTTL', OWN .. list) > kept then return end
  redis.call('ZREMRANGEBYSCORE', OWN .. list, '-inf', now - kept)
  redis.call('PEXPIRE', OWN .. list, kept)
end

-- The job that answers a sharing key: it waits or runs and is wanted, or it has completed.
local function answering(key)
  local job = redis.call('GET', OWN .. 'shared:' .. key)
  if not job then return nil end
  local seen = redis.call('HMGET', BULL .. job, 'timestamp', 'finishedOn', 'shoal:cancel')
  if not seen[1] or seen[3] then return nil end
  if seen[2] and not redis.call('ZSCORE', BULL .. 'completed', job) then return nil end
  return job
end

-- What is asked once for all jobs of the script, when the first needs it.
local queue

local function look()
  local jobsPerSecond, workPerSecond = drainRate()
  queue = { waiting = waitingJobs() + redis.call('ZCARD', BULL .. 'delayed'),
    jobsPerSecond = jobsPerSecond, workPerSecond = workPerSecond }
end

local function raise(job, priority)
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

local function shortenEvents()
  redis.call('HSETNX', BULL .. 'meta', 'opts.maxLenEvents', 1000)
end

-- The wait in ms as it is predicted, or −1; then why the job is refused, if it is.
local function admit(priority, deadline, hook, tenant)
  if not queue then look() end
  if queue.waiting >= most then
    return nil, { 'full', tostring(queue.waiting), tostring(queue.jobsPerSecond or -1), tostring(most) }
  end
  if hook ~= '' then
    local calls = redis.call('ZCARD', OWN .. 'webhooks')
    if calls >= ${MAX_WEBHOOKS} then return nil, { 'hooked', tostring(calls), '0', '0' } end
    -- What a full Redis refuses comes first: once a script has written anything, it refuses nothing more.
    shortenEvents()
    local theirs = tenant ~= '' and webhooksOf(tenant, now) or 0
    if theirs >= ${MAX_TENANT_WEBHOOKS} then return nil, { 'hooked', tostring(theirs), '0', '0' } end
  end
  local predicted = -1
  if queue.waiting == 0 then
    predicted = 0
  elseif queue.workPerSecond and queue.workPerSecond > 0 then
    predicted = math.floor(workAhead(priority) / queue.workPerSecond * 1000)
  end
  if deadline > 0 and now >= deadline then return nil, { 'late', '0', '0', '0' } end
  if longest > 0 and predicted > longest then return nil, { 'slow', tostring(predicted), '0', tostring(longest) } end
  if deadline > 0 and now + math.max(predicted, 0) > deadline then
    return nil, { 'late', tostring(predicted), '0', '0' }
  end
  return predicted, nil
end

local function addByBullmq(id, data, options)
  shortenEvents()
  local keys = {
    BULL .. 'marker', BULL .. 'meta', BULL .. 'id', BULL .. 'prioritized', BULL .. 'delayed', BULL .. 'completed',
    BULL .. 'active', BULL .. 'events', BULL .. 'pc',
  }
  bullmqAdd(keys, { cmsgpack.pack({ BULL, id, '${JOB_NAME}', now }), data, cmsgpack.pack(options) })
end

-- What BullMQ's text would do for one more job once it has added one in this script: it has called a worker, unless the
-- queue is paused or full of running jobs, and neither changes here. plain.test.ts compares both, key by key.
local function addPlain(id, data, options, work, predicted)
  redis.call('INCR', BULL .. 'id')
  redis.call('HSET', BULL .. id, 'name', '${JOB_NAME}', 'data', data, 'opts', cjson.encode(options), 'timestamp', now,
    'delay', 0, 'priority', options.priority, 'shoal:work', work, 'shoal:predicted', predicted)
  redis.call('XADD', BULL .. 'events', '*', 'event', 'added', 'jobId', id, 'name', '${JOB_NAME}')
  local counter = redis.call('INCR', BULL .. 'pc') % 0x100000000
  redis.call('ZADD', BULL .. 'prioritized', options.priority * 0x100000000 + counter, id)
  redis.call('XADD', BULL .. 'events', '*', 'event', 'waiting', 'jobId', id)
end

local addedByBullmq = false
local function add(id, priority, data, trace, work, predicted)
  local options = {
    jobId = id, priority = priority, attempts = 1,
    removeOnComplete = { age = RESULT_TTL_S }, removeOnFail = { age = RESULT_TTL_S },
    tm = trace ~= '' and trace or nil,
  }
  if addedByBullmq then
    addPlain(id, data, options, work, predicted)
  else
    addByBullmq(id, data, options)
    redis.call('HSET', BULL .. id, 'shoal:work', work, 'shoal:predicted', predicted)
    addedByBullmq = true
  end
  redis.call('HINCRBY', OWN .. 'work', priority, work)
end

-- A write, so that a WAIT after it waits for the first submission too.
local function again(id)
  redis.call('SET', OWN .. 'again', id, 'PX', 1000)
  return { 'again' }
end

local function submit(id, priority, work, deadline, data, list, trace, hook, key, record, tenant)
  priority, work, deadline = tonumber(priority), tonumber(work), tonumber(deadline)
  list, trace, hook, key, record, tenant = list or '', trace or '', hook or '', key or '', record or id, tenant or ''
  if key ~= '' then
    if redis.call('EXISTS', OWN .. 'alias:' .. record) == 1 then return again(record) end
    local job = answering(key)
    if job then
      join(record, job, deadline, keptMs(deadline))
      keepFor(OWN .. 'shared:' .. key, keptMs(deadline))
      enter(list, record)
      raise(job, priority)
      return { redis.call('HEXISTS', BULL .. job, 'finishedOn') == 1 and 'cached' or 'shared' }
    end
  end
  if redis.call('EXISTS', BULL .. id) == 1 then return again(id) end
  local predicted, refusal = admit(priority, deadline, hook, tenant)
  if refusal then return refusal end
  add(id, priority, data, trace, work, predicted)
  queue.waiting = queue.waiting + 1
  if hook ~= '' then redis.call('HSET', BULL .. id, 'shoal:hook', hook, 'shoal:tenant', tenant) end
  enter(list, record)
  local place = list ~= '' and redis.call('ZRANK', BULL .. 'prioritized', id)
  if key ~= '' then
    redis.call('HSET', BULL .. id, 'shoal:key', key)
    redis.call('SET', OWN .. 'shared:' .. key, id, 'PX', keptMs(deadline))
    join(record, id, deadline, keptMs(deadline))
  end
  if place then return { 'added', tostring(redis.call('LLEN', BULL .. 'wait') + place), tostring(predicted) } end
  return { 'added' }
end

local replies = {}
local at = 2
while ARGV[at] do
  local fields = tonumber(ARGV[at])
  local ok, reply = pcall(submit, unpack(ARGV, at + 1, at + fields))
  if not ok then
    local text = type(reply) == 'table' and reply.err or tostring(reply)
    -- Before Redis 7 the error's place in the script stands before its code.
    text = string.match(text, '^@user_script: ?%d+: %-?(.*)$') or text
    -- Where nothing can be written the connection itself must hear it: it looks for the master again.
    if string.find(text, '^READONLY') then return { err = text } end
    reply = { 'error', text }
  end
  replies[#replies + 1] = reply
  at = at + fields + 1
end
return replies
`,
);
