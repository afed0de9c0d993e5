import { Script } from '../script.ts';
import { JOB_ENDS } from './jobs.ts';
import { READERS } from './readers.ts';
import { RECORDS } from './records.ts';
import { STOP_JOB } from './stop-job.ts';
import { FORGET_WEBHOOK } from './webhooks.ts';

/**
 * Cancels one request. Arguments: BULL, OWN, REPLIES_MAX, RECORD_TTL_MS, id, ErrorBody as JSON, cancel channel, the list
 * that the request leaves because its submission is taken back: nobody is told of its end, then ('' for none). Reply:
 * `unknown`, `finished`, `cancelled` or `stopping` (a worker has still to stop). A record of a shared generation leaves
 * alone; the job stops when it was the last.
 */
export const CANCEL: Script = new Script(
  'cancel',
  `
local BULL, OWN = ARGV[1], ARGV[2]
-- Whoever may cancel need not know how long results are kept: what is past its time goes by the look.
local REPLIES_MAX, RESULT_TTL_S, RECORD_TTL_MS = ARGV[3], 0, tonumber(ARGV[4])
${READERS}
${JOB_ENDS}
${STOP_JOB}
${RECORDS}
${FORGET_WEBHOOK}
if ARGV[8] ~= '' then
  redis.call('ZREM', OWN .. ARGV[8], ARGV[5])
  redis.call('HDEL', BULL .. ARGV[5], 'shoal:hook')
  forgetWebhook(ARGV[5])
  redis.call('DEL', OWN .. 'webhook:' .. ARGV[5])
end
local id, status = resolve(ARGV[5])
if status then return 'finished' end
if redis.call('EXISTS', BULL .. id) == 0 then return 'unknown' end
if redis.call('HEXISTS', BULL .. id, 'finishedOn') == 1 then return 'finished' end
if id ~= ARGV[5] and not leave(ARGV[5], id, 'cancelled') then
  tellRecordEnd(ARGV[5], id, ARGV[6])
  tellAll()
  return 'cancelled'
end
local outcome = stopJob(id, ARGV[6], ARGV[7])
tellAll()
return outcome
`,
);
