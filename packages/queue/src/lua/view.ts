import { Script } from '../script.ts';
import { WORK } from './jobs.ts';
import { RECORDS } from './records.ts';

/**
 * What is known of one job. Arguments: BULL, OWN, id. Reply: nil, or {state, position, timestamp, finishedOn, attempts,
 * returnvalue, failedReason, data, estimated wait, own end}; state is queued, running, completed or failed; position is the jobs
 * ahead of it, or −1; the wait in ms is theirs, by the work that waits on average and the rate at which it is done, as
 * text, or '' when nothing is known. Last comes how the request ended by itself, apart from the job that it shared:
 * `cancelled`, `expired` or ''.
 */
export const VIEW: Script = new Script(
  'view',
  `
local BULL, OWN, RECORD_TTL_MS = ARGV[1], ARGV[2], 0
${WORK}
${RECORDS}
local id, ended = resolve(ARGV[3])
local job = redis.call('HMGET', BULL .. id, 'timestamp', 'finishedOn', 'ats', 'returnvalue', 'failedReason', 'data')
if not job[1] then return nil end
local state, position = 'running', -1
if job[2] then
  state = redis.call('ZSCORE', BULL .. 'completed', id) and 'completed' or 'failed'
else
  local rank = redis.call('ZRANK', BULL .. 'prioritized', id)
  local place = not rank and redis.call('LPOS', BULL .. 'wait', id)
  if rank then
    state, position = 'queued', redis.call('LLEN', BULL .. 'wait') + rank
  elseif place then
    state, position = 'queued', redis.call('LLEN', BULL .. 'wait') - 1 - place
  elseif redis.call('ZSCORE', BULL .. 'delayed', id) then
    state, position = 'queued', waitingJobs()
  end
end
local wait = ''
if position == 0 then
  wait = '0'
elseif position > 0 then
  local _, workPerSecond = drainRate()
  if workPerSecond and workPerSecond > 0 then
    local workPerJob = workAhead(100) / math.max(1, waitingJobs())
    wait = string.format('%.0f', math.min(position * workPerJob / workPerSecond, 86400) * 1000)
  end
end
return { state, position, job[1], job[2] or '', job[3] or '0', job[4] or '', job[5] or '', job[6] or '', wait, ended or '' }
`,
);
