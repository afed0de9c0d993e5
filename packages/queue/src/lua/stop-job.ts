import { JOB_REQUEST } from './job-request.ts';

/**
 * Lua: stops a job that has not finished. Needs what jobs.ts and readers.ts define. Returns `cancelled` when it was
 * waiting: it is failed with `reason` and its readers are told; `stopping` when a worker holds it: it is marked, and its
 * worker called on `channel`.
 */
export const STOP_JOB: string = `
${JOB_REQUEST}
local function stopJob(id, reason, channel)
  local waiting = redis.call('ZREM', BULL .. 'prioritized', id) + redis.call('LREM', BULL .. 'wait', 1, id)
    + redis.call('ZREM', BULL .. 'delayed', id)
  if waiting == 0 then
    redis.call('HSET', BULL .. id, 'shoal:cancel', 1)
    redis.call('PUBLISH', channel, id)
    return 'stopping'
  end
  -- BullMQ finishes what is active: the job passes through there, inside this script.
  redis.call('LPUSH', BULL .. 'active', id)
  addWork(id, -1)
  local code = finish(id, '0', 'failed', reason, nowMs())
  if code ~= 0 then error('BullMQ refused to finish a waiting job: code ' .. code) end
  tellEnd(id, requestOf(id).replyTo or '', 'failed', reason)
  return 'cancelled'
end
`;
