import { Script } from '../script.ts';

/**
 * What is known of one job. Arguments: BULL, id. Reply: nil, or {state, position, timestamp, finishedOn, attempts,
 * returnvalue, failedReason, data}; state is queued, running, completed or failed; position is the jobs ahead of it, or
 * −1.
 */
export const VIEW: Script = new Script(
  'view',
  `
local BULL, id = ARGV[1], ARGV[2]
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
    state = 'queued'
    position = redis.call('LLEN', BULL .. 'wait') + redis.call('ZCARD', BULL .. 'prioritized')
  end
end
return { state, position, job[1], job[2] or '', job[3] or '0', job[4] or '', job[5] or '', job[6] or '' }
`,
);
