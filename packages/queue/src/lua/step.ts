import { Script } from '../script.ts';
import { CLAIM } from './claim.ts';
import { HELD_JOB } from './held-job.ts';
import { JOB_ENDS, JOB_HAND_BACK, JOB_LATER, JOB_LOCK } from './jobs.ts';
import { CLAIM_PLAIN, FINISH_PLAIN } from './plain.ts';
import { READERS } from './readers.ts';
import { TOKEN_LOG } from './token-log.ts';

/**
 * Everything a worker has to write, for all of its jobs, and the next jobs it takes, in one round trip. Arguments: BULL,
 * OWN, LOG_TTL_MS, REPLIES_MAX, RESULT_TTL_S, STEP_ID, jobs wanted, jobs held besides those that this step ends, LOCK_MS,
 * WORKER, jobs wanted ahead of a free slot, then items, each a letter and its fields:
 *
 * - `E` id, token, replyTo, position, end, event: appends to the token log and tells the readers, if the token holds
 *   the lock and the log is `position` long. Reply: the log's length after it; −1 when the lock is not held.
 * - `C`/`F` id, token, replyTo, length, value: finishes the job as completed or failed and tells the readers,
 *   if the log has at least that length. Reply: 0 (also when this very end was written before), BullMQ's negative code,
 *   or −1000 minus the log's length when it is too short.
 * - `B` id, token: hands the job back. Reply: 0 or BullMQ's negative code.
 * - `D` id, token, milliseconds: hands the job back for later. Reply: as `B`.
 * - `K` id, token: only looks. Reply: 0, or −1 when the lock is not held.
 * - `L` id, token: renews the lock; a lock that lapsed is taken again while nobody else did. Reply: as `K`.
 *
 * Reply: {codes, ids of jobs whose cancellation is asked, claims, [rate limit in ms, ms until the next delayed job (0:
 * none), jobs still waiting, how many of the claims are suspects that run apart (−1: the worker is to empty itself for
 * some)], ids of jobs whose tokens were told and that somebody joined}; a claim is {id, token, job hash, log entries}. Each item runs under pcall: a failure is code −100 for that
 * item and nothing else, −101 where Redis takes no writes at all (it is full, say). Sent twice, the script changes
 * nothing the second time and gives the same claims, less those whose lock is gone.
 */
export const STEP: Script = new Script(
  'step',
  `
local BULL, OWN = ARGV[1], ARGV[2]
local LOG_TTL_MS, REPLIES_MAX, RESULT_TTL_S = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local STEP_ID, LOCK_MS, WORKER = ARGV[6], tonumber(ARGV[9]), ARGV[10]
${READERS}
${TOKEN_LOG}
${JOB_ENDS}
${JOB_HAND_BACK}
${JOB_LATER}
${JOB_LOCK}
${HELD_JOB}
${CLAIM_PLAIN}
${FINISH_PLAIN}
${CLAIM}
local now = nowMs()
local finished, finishedWork = 0, 0
local completedByBullmq = false

-- By BullMQ's text, which what was finished beside it must not see half done.
local function finishByBullmq(id, token, outcome, value)
  settlePlain()
  local code = finish(id, token, outcome, value, now)
  if code == -2 and LOCK_MS > 0 and keepLock(id, token) then code = finish(id, token, outcome, value, now) end
  if code == 0 and outcome == 'completed' then completedByBullmq = true end
  return code
end

local function finishAndTell(id, token, replyTo, outcome, expected, value)
  if expected > 0 then
    local length = logLength(id)
    if length < expected and holds(id, token) then return -1000 - length end
  end
  local code, work = 0, nil
  if completedByBullmq and outcome == 'completed' then work = finishPlain(id, token, value, now) end
  if not work then
    work = tonumber(redis.call('HGET', BULL .. id, 'shoal:work') or 0)
    code = finishByBullmq(id, token, outcome, value)
  end
  if code == 0 then
    tellEnd(id, replyTo, outcome, value)
    finished, finishedWork = finished + 1, finishedWork + work
    return 0
  end
  local property = outcome == 'completed' and 'returnvalue' or 'failedReason'
  local written = redis.call('ZSCORE', BULL .. outcome, id) and redis.call('HGET', BULL .. id, property)
  if written == value then return 0 end
  return code
end

local codes = {}
local unended = 0
local at = 12
while ARGV[at] do
  local kind, ok, code = ARGV[at], false, nil
  if unsettled[ARGV[at + 1]] then pcall(settlePlain) end
  if kind == 'E' then
    ok, code = pcall(emit, ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6])
    at = at + 7
  elseif kind == 'C' or kind == 'F' then
    ok, code = pcall(finishAndTell, ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], kind == 'C' and 'completed' or 'failed',
      tonumber(ARGV[at + 4]), ARGV[at + 5])
    at = at + 6
  elseif kind == 'B' then
    ok, code = pcall(handBack, ARGV[at + 1], ARGV[at + 2])
    at = at + 3
  elseif kind == 'D' then
    ok, code = pcall(handBackLater, ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], now)
    at = at + 4
  elseif kind == 'L' then
    ok, code = pcall(renew, ARGV[at + 1], ARGV[at + 2])
    at = at + 3
  else
    ok, code = pcall(look, ARGV[at + 1], ARGV[at + 2])
    at = at + 3
  end
  if not ok then code = isFull(code) and -101 or -100 end
  codes[#codes + 1] = code
  if string.find('CFBD', kind, 1, true) and code <= -100 then unended = unended + 1 end
end
pcall(settlePlain)
tellAll()
if finished > 0 then pcall(countDrained, now, finished, finishedWork) end
local claims, limitTtl, nextDelayed, left, apart = {}, 0, 0, 0, 0
local wanted, held = tonumber(ARGV[7]) - unended, tonumber(ARGV[8]) + unended
local ahead = unended == 0 and tonumber(ARGV[11]) or 0
if wanted + ahead > 0 then claims, limitTtl, nextDelayed, left, apart = claimAll(math.max(wanted, 0), ahead, held, now) end
if WORKER ~= '' and held == 0 and #claims == 0 then
  redis.call('ZREMRANGEBYSCORE', OWN .. 'idle', '-inf', now)
  redis.call('ZADD', OWN .. 'idle', now + 15000, WORKER)
  redis.call('PEXPIRE', OWN .. 'idle', 60000)
end
-- Under BullMQ's global concurrency an end makes room for jobs that no marker announces.
if finished > 0 and #claims == 0 and redis.call('HEXISTS', BULL .. 'meta', 'concurrency') == 1
  and waitingJobs() + redis.call('ZCARD', BULL .. 'delayed') > 0 then
  redis.call('ZADD', BULL .. 'marker', 0, '0')
end
local untilDelayed = nextDelayed > 0 and math.max(1, math.floor(nextDelayed) - now) or 0
return { codes, cancelledIds(), claims, { limitTtl, untilDelayed, left, apart }, joinedIds() }
`,
);
