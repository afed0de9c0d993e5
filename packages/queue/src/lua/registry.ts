import { Script } from '../script.ts';

const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/** Notes that a worker lives. Key: the model's workers. Arguments: worker id, milliseconds of silence that mean gone. */
export const ANNOUNCE: Script = new Script(
  'announce',
  `${NOW}
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
`,
);

/** Live workers. Key: the model's workers. Argument: milliseconds of silence that mean gone. */
export const LIVE_WORKERS: Script = new Script(
  'live-workers',
  `${NOW}
return redis.call('ZCOUNT', KEYS[1], now - tonumber(ARGV[1]), '+inf')
`,
);
