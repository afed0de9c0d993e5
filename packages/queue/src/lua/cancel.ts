import { Script } from '../script.ts';
import { JOB_ENDS } from './jobs.ts';
import { READERS } from './readers.ts';
import { RECORDS } from './records.ts';
import { STOP_JOB } from './stop-job.ts';

/**
 * Cancels one request. Arguments: BULL, OWN, REPLIES_MAX, RESULT_TTL_S, RECORD_TTL_MS, id, ErrorBody as JSON,
 * cancel channel. Reply: `unknown`, `finished`, `cancelled` or `stopping` (a worker has still to
 * stop). A record of a shared generation leaves alone; the job stops when it was the last.
 */
export const CANCEL: Script = new Script(
  'cancel',
  `
local BULL, OWN = ARGV[1], ARGV[2]
local REPLIES_MAX, RESULT_TTL_S, RECORD_TTL_MS = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
${READERS}
${JOB_ENDS}
${STOP_JOB}
${RECORDS}
local id, status = resolve(ARGV[6])
if status then return 'finished' end
if redis.call('EXISTS', BULL .. id) == 0 then return 'unknown' end
if redis.call('HEXISTS', BULL .. id, 'finishedOn') == 1 then return 'finished' end
if id ~= ARGV[6] and not leave(ARGV[6], id, 'cancelled') then return 'cancelled' end
local outcome = stopJob(id, ARGV[7], ARGV[8])
tellAll()
return outcome
`,
);
