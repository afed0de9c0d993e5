import { Script } from '../script.ts';
import { WORK } from './jobs.ts';
import { CLAIM_PLAIN } from './plain.ts';
import { SHARE_OF } from './share-of.ts';
import { SUSPECT_SCORE } from './suspects.ts';

/** How long a claim that was taken back stays so: longer than a worker waits for a call. */
const TAKEN_BACK_MS = 60_000;

/**
 * The claim that waits behind a call: Redis runs it the moment that the call comes, see docs/decisions/0031. Arguments:
 * BULL, OWN, STEP_ID, LOCK_MS, WORKER, jobs at most, free slots. It takes nothing but ordinary jobs that never ran, and
 * marks them as held ahead of a slot: whoever waits may be frozen by then. All else is left to who asks by a step. A call
 * that was meant for somebody else by now is passed on.
 *
 * Reply: {claims as of step.ts, 1 where there may be more to do, else 0}.
 */
export const CALL: Script = new Script(
  'call',
  `
local BULL, OWN = ARGV[1], ARGV[2]
local STEP_ID, LOCK_MS, WORKER = ARGV[3], tonumber(ARGV[4]), ARGV[5]
${WORK}
${SHARE_OF}
${CLAIM_PLAIN}

local function waitingOrDelayed()
  return waitingJobs() + redis.call('ZCARD', BULL .. 'delayed')
end

if redis.call('EXISTS', OWN .. 'left:' .. STEP_ID) == 1 then
  if waitingOrDelayed() > 0 then redis.call('ZADD', BULL .. 'marker', 0, '0') end
  return { {}, 1 }
end
local now = nowMs()
local claims, ids, share = {}, {}, 0
redis.call('ZREM', OWN .. 'idle', WORKER)
if redis.call('ZCOUNT', BULL .. 'prioritized', ${SUSPECT_SCORE}, '+inf') == 0 then
  share = shareOf(tonumber(ARGV[7]), now)
  claimPlain(math.min(share, tonumber(ARGV[6])), now, claims, ids, true)
end
-- Whoever was given nothing asks by a step, which says why.
if #claims == 0 then return { claims, 1 } end
redis.call('SET', OWN .. 'step:' .. STEP_ID, cjson.encode(ids), 'PX', ${TAKEN_BACK_MS})
local left = waitingJobs()
if left > 0 then
  redis.call('ZADD', BULL .. 'marker', 0, '0')
else
  redis.call('ZREM', BULL .. 'marker', '0')
  redis.call('DEL', OWN .. 'work')
end
-- Beyond its share the others are called. When a delayed job is due, a step says.
local more = left > 0 and #claims < share or redis.call('ZCARD', BULL .. 'delayed') > 0
return { claims, more and 1 or 0 }
`,
);

/**
 * Takes such a claim back, whether or not it ran: it gives no more jobs. Arguments: BULL, OWN, STEP_ID. Reply: as above,
 * with the claims that it gave before, less those whose lock is gone. Where it gave none, a call may have come and not been
 * heard: it is passed on.
 */
export const TAKE_BACK: Script = new Script(
  'take-back',
  `
local BULL, OWN, STEP_ID = ARGV[1], ARGV[2], ARGV[3]
${WORK}
redis.call('SET', OWN .. 'left:' .. STEP_ID, 1, 'PX', ${TAKEN_BACK_MS})
local claims = {}
local before = redis.call('GET', OWN .. 'step:' .. STEP_ID)
if not before and waitingJobs() > 0 then redis.call('ZADD', BULL .. 'marker', 0, '0') end
for index, id in ipairs(before and cjson.decode(before) or {}) do
  local token = STEP_ID .. ':' .. index
  if redis.call('GET', BULL .. id .. ':lock') == token then
    claims[#claims + 1] = { id, token, redis.call('HGETALL', BULL .. id), {} }
  end
end
return { claims, 1 }
`,
);
