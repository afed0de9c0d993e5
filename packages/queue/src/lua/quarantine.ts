import { Script } from '../script.ts';
import { QUARANTINE_MS } from './suspects.ts';

/**
 * Says that a worker still empties itself for suspects. Arguments: OWN, worker. Reply: 1, or 0 when another one has taken
 * that on.
 */
export const KEEP_QUARANTINE: Script = new Script(
  'keep-quarantine',
  `
local key = ARGV[1] .. 'quarantine'
local holder = redis.call('GET', key)
if holder and holder ~= ARGV[2] then return 0 end
redis.call('SET', key, ARGV[2], 'PX', ${QUARANTINE_MS})
return 1
`,
);
