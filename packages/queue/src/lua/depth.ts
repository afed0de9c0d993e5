import { Script } from '../script.ts';

/** Scores at and above this are jobs under suspicion (claim.ts). */
const SUSPECT_SCORE = 2 ** 32 * 1_000_000;

/**
 * What a queue holds. Argument: BULL. Reply: {1 if paused, jobs in `wait` (added without a priority), delayed, active,
 * suspects, then prioritised ones by priority 0 … 9; a foreign priority below the lowest counts as that}.
 */
export const DEPTH: Script = new Script(
  'depth',
  `
local BULL = ARGV[1]
local set = BULL .. 'prioritized'
local reply = {
  redis.call('HEXISTS', BULL .. 'meta', 'paused'), redis.call('LLEN', BULL .. 'wait'), redis.call('ZCARD', BULL .. 'delayed'),
  redis.call('LLEN', BULL .. 'active'), redis.call('ZCOUNT', set, '${SUSPECT_SCORE}', '+inf'),
}
for priority = 1, 10 do
  local from = priority == 1 and '-inf' or string.format('%.0f', priority * 0x100000000)
  local to = priority == 10 and '(${SUSPECT_SCORE}' or '(' .. string.format('%.0f', (priority + 1) * 0x100000000)
  reply[#reply + 1] = redis.call('ZCOUNT', set, from, to)
end
return reply
`,
);
