import { Script } from '../script.ts';
import { bullmqFunction } from './bullmq-scripts.ts';
import { JOB_ENDS } from './jobs.ts';
import { READERS } from './readers.ts';
import { RECORDS } from './records.ts';
import { STOP_JOB } from './stop-job.ts';
import { TOKEN_LOG } from './token-log.ts';

/** A waiting job rises by one priority after this long, and again after as long. */
const AGING_MS = 30_000;
/** Jobs of one priority that rise, and finished jobs that are swept, in one look. */
const RISE_AT_ONCE = 32;
/** Deaths in all after which a request of several choices, begun once, is a suspect as any other when it wrote nothing. */
const MOST_SILENT_DEATHS = 8;
/** Deaths in a row after which a request that has begun is a suspect: its replay takes time, in which others may kill. */
const MOST_SILENT_REPLAYS = 2;
const SWEEP_AT_ONCE = 256;

/**
 * The regular look after the queue, done by whichever worker comes first in an interval. Arguments: BULL, OWN,
 * LOG_TTL_MS, REPLIES_MAX, RESULT_TTL_S, interval in ms, deaths alone that fail a job, its ErrorBody,
 * RECORD_TTL_MS, ErrorBody of what is past its deadline, cancel channel.
 * Reply: ids of jobs that were found without a living worker; ids of those among them that were failed.
 *
 * - Jobs whose lock is gone are put back (by BullMQ's script). One that wrote nothing under its last claim is a suspect
 *   from then on, unless it was claimed ahead of a free slot, may have waited for a turn, or was being replayed (below);
 *   one that did so while it ran alone often enough is failed.
 * - Jobs that wait long rise; finished ones past their time are removed.
 * - What waits is announced once more: whom BullMQ's marker called may have been stopped before it came.
 */
export const WATCH: Script = new Script(
  'watch',
  `
local BULL, OWN = ARGV[1], ARGV[2]
local LOG_TTL_MS, REPLIES_MAX, RESULT_TTL_S = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local interval, mostDeaths, reason = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
${READERS}
${TOKEN_LOG}
local RECORD_TTL_MS, lateReason, channel = tonumber(ARGV[9]), ARGV[10], ARGV[11]
${JOB_ENDS}
${STOP_JOB}
${RECORDS}
${bullmqFunction('bullmqMoveStalled', 'moveStalledJobsToWait-9')}
local now = nowMs()
if redis.call('EXISTS', BULL .. 'stalled-check') == 1 then return { {}, {} } end
local last = tonumber(redis.call('GET', OWN .. 'watched') or 0)
redis.call('SET', OWN .. 'watched', now, 'PX', 600000)

local function markAll()
  redis.call('SET', BULL .. 'stalled-check', now, 'PX', interval)
  redis.call('DEL', BULL .. 'stalled')
  local active = redis.call('LRANGE', BULL .. 'active', 0, -1)
  for from = 1, #active, 5000 do
    redis.call('SADD', BULL .. 'stalled', unpack(active, from, math.min(from + 4999, #active)))
  end
end

local failed = {}
local function failLost(id)
  redis.call('HDEL', BULL .. id, 'shoal:suspect', 'shoal:deaths', 'shoal:alone', 'shoal:silent')
  redis.call('LREM', BULL .. 'wait', 1, id)
  redis.call('LPUSH', BULL .. 'active', id)
  addWork(id, -1)
  if finish(id, '0', 'failed', reason, now) == 0 then
    failed[#failed + 1] = id
    tellEnd(id, requestOf(id).replyTo or '', 'failed', reason)
  end
end

-- What a request of several choices generates may wait for the turn of one that has no slot yet (decision 26): that it wrote
-- nothing does not say that it killed its worker. It has passed its prefill once; but not without end.
local function mayHaveWaitedForATurn(id)
  local deaths = tonumber(redis.call('HGET', BULL .. id, 'stc') or 0)
  if logLength(id) == 0 or deaths > ${MOST_SILENT_DEATHS} then return false end
  local params = requestOf(id).params
  return type(params) == 'table' and (tonumber(params.n) or 1) > 1
end

-- It has generated before, so that its prompt kills nobody. What kills at a token further on does so in every replay.
local function mayHaveBeenReplayed(id)
  return logLength(id) > 0 and redis.call('HINCRBY', BULL .. id, 'shoal:silent', 1) <= ${MOST_SILENT_REPLAYS}
end

local function judge(id)
  -- Nobody renews it while the job waits; gone, its readers would see the answer begin again.
  redis.call('PEXPIRE', OWN .. 'tokens:' .. id, RECORD_TTL_MS)
  local job = redis.call('HMGET', BULL .. id, 'shoal:base', 'shoal:alone', 'shoal:ahead')
  if logLength(id) > tonumber(job[1] or 0) then
    redis.call('HDEL', BULL .. id, 'shoal:suspect', 'shoal:deaths', 'shoal:ahead', 'shoal:silent')
    return
  end
  if mayHaveWaitedForATurn(id) or mayHaveBeenReplayed(id) then return end
  -- It may never have begun. Only a first claim is such, so that one that kills its worker gains one death, no more.
  if job[3] == '1' then
    redis.call('HDEL', BULL .. id, 'shoal:ahead')
    return
  end
  redis.call('HINCRBY', BULL .. id, 'shoal:suspect', 1)
  if job[2] == '1' and redis.call('HINCRBY', BULL .. id, 'shoal:deaths', 1) >= mostDeaths then failLost(id) end
end

-- When nobody looked for longer than workers look, Redis (or all of them) stood still: locks lapsed that living
-- workers are about to renew. All get one more interval.
local stalled = {}
if now - last > 2 * interval + 500 then
  markAll()
else
  stalled = bullmqMoveStalled({
    BULL .. 'stalled', BULL .. 'wait', BULL .. 'active', BULL .. 'stalled-check', BULL .. 'meta', BULL .. 'paused',
    BULL .. 'marker', BULL .. 'events', BULL .. 'repeat',
  }, { 1000000000, BULL, now, interval })
  for _, id in ipairs(stalled) do
    pcall(addWork, id, 1)
    pcall(judge, id)
  end
end

for priority = 2, 10 do
  local low = priority * 0x100000000
  local oldest = redis.call('ZRANGEBYSCORE', BULL .. 'prioritized', low, low + 0xffffffff, 'LIMIT', 0, ${RISE_AT_ONCE})
  for _, id in ipairs(oldest) do
    local job = redis.call('HMGET', BULL .. id, 'timestamp', 'shoal:risen')
    if now - math.max(tonumber(job[1] or now), tonumber(job[2] or 0)) > ${AGING_MS} then
      redis.call('HSET', BULL .. id, 'shoal:risen', now)
      local counter = redis.call('INCR', BULL .. 'pc') % 0x100000000
      redis.call('ZADD', BULL .. 'prioritized', low - 0x100000000 + counter, id)
    end
  end
end

if waitingJobs() > 0 and redis.call('HEXISTS', BULL .. 'meta', 'paused') == 0 then
  redis.call('ZADD', BULL .. 'marker', 0, '0')
end

-- Requests that share a generation expire alone; it stops when none is left.
local late = redis.call('ZRANGEBYSCORE', OWN .. 'deadlines', '-inf', now, 'LIMIT', 0, ${SWEEP_AT_ONCE})
for _, record in ipairs(late) do
  redis.call('ZREM', OWN .. 'deadlines', record)
  local job, ended = resolve(record)
  local open = redis.call('HMGET', BULL .. job, 'timestamp', 'finishedOn')
  if not ended and open[1] and not open[2] then
    if leave(record, job, 'expired') then
      pcall(stopJob, job, lateReason, channel)
    else
      pcall(tellRecordEnd, record, job, lateReason)
    end
  end
end
tellAll()

for _, set in ipairs({ 'completed', 'failed' }) do
  local old = redis.call('ZRANGEBYSCORE', BULL .. set, '-inf', now - RESULT_TTL_S * 1000, 'LIMIT', 0, ${SWEEP_AT_ONCE})
  for _, id in ipairs(old) do
    redis.call('UNLINK', BULL .. id, BULL .. id .. ':logs', BULL .. id .. ':dependencies', BULL .. id .. ':processed',
      BULL .. id .. ':failed', BULL .. id .. ':unsuccessful', OWN .. 'tokens:' .. id, OWN .. 'readers:' .. id, OWN .. 'records:' .. id)
    redis.call('ZREM', BULL .. set, id)
  end
end
return { stalled, failed }
`,
);
