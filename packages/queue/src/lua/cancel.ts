import { Script } from '../script.ts';
import { JOB_ENDS } from './jobs.ts';
import { READERS } from './readers.ts';
import { TOKEN_LOG } from './token-log.ts';

/**
 * Cancels one job. Arguments: BULL, OWN, LOG_TTL_MS, REPLIES_MAX, RESULT_TTL_S, id, ErrorBody as JSON, FailedEvent as
 * JSON, cancel channel. Reply: `unknown`, `finished`, `cancelled` (it was waiting; it is failed with that error and its
 * readers are told) or `stopping` (a worker holds it: marked, and its worker called).
 */
export const CANCEL: Script = new Script(
  'cancel',
  `
local BULL, OWN = ARGV[1], ARGV[2]
local LOG_TTL_MS, REPLIES_MAX, RESULT_TTL_S = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local id, reason, event, channel = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
${READERS}
${TOKEN_LOG}
${JOB_ENDS}
if redis.call('EXISTS', BULL .. id) == 0 then return 'unknown' end
if redis.call('HEXISTS', BULL .. id, 'finishedOn') == 1 then return 'finished' end
local waiting = redis.call('ZREM', BULL .. 'prioritized', id) + redis.call('LREM', BULL .. 'wait', 1, id)
  + redis.call('ZREM', BULL .. 'delayed', id)
if waiting == 0 then
  redis.call('HSET', BULL .. id, 'shoal:cancel', 1)
  redis.call('PUBLISH', channel, id)
  return 'stopping'
end
local parsed, request = pcall(cjson.decode, redis.call('HGET', BULL .. id, 'data') or '')
local replyTo = parsed and type(request) == 'table' and request.replyTo or ''
-- BullMQ finishes what is active: the job passes through there, inside this script.
redis.call('LPUSH', BULL .. 'active', id)
local code = finish(id, '0', 'failed', reason, nowMs())
if code ~= 0 then return redis.error_reply('BullMQ refused to finish a waiting job: code ' .. code) end
tell(id, replyTo, event)
tellAll()
forgetReaders(id)
return 'cancelled'
`,
);
