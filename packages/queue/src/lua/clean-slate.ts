import { Script } from '../script.ts';

/**
 * Takes off a finished job what its first life left. Arguments: BULL, OWN, id, its data from now on ('' leaves it). Reply:
 * 1, or 0 for a job that is not finished: it may have begun its next life. The fields are those of the table of keys in
 * the README.
 */
export const CLEAN_SLATE: Script = new Script(
  'clean-slate',
  `
local BULL, OWN, id, data = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if not redis.call('ZSCORE', BULL .. 'completed', id) and not redis.call('ZSCORE', BULL .. 'failed', id) then return 0 end
if data ~= '' then redis.call('HSET', BULL .. id, 'data', data) end
redis.call('HDEL', BULL .. id, 'shoal:base', 'shoal:alone', 'shoal:ahead', 'shoal:suspect', 'shoal:deaths', 'shoal:cancel', 'shoal:risen',
  'shoal:predicted')
redis.call('UNLINK', OWN .. 'tokens:' .. id, OWN .. 'readers:' .. id)
return 1
`,
);
