import { Script } from '../script.ts';

const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/**
 * Notes that a worker lives. Key: the model's workers. Arguments: worker id, milliseconds of silence that mean gone, key
 * of the reports, its report as JSON ('' for none), `serving` or `leaving`: who leaves is no longer counted.
 */
export const ANNOUNCE: Script = new Script(
  'announce',
  `${NOW}
local worker, silence, reports, report, state = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
if state == 'serving' then redis.call('ZADD', KEYS[1], now, worker) else redis.call('ZREM', KEYS[1], worker) end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - silence)) do
  redis.call('ZREM', KEYS[1], gone)
  redis.call('HDEL', reports, gone)
end
redis.call('PEXPIRE', KEYS[1], silence)
if report ~= '' then
  redis.call('HSET', reports, worker, string.format('%.0f', now) .. ' ' .. report)
  redis.call('PEXPIRE', reports, silence)
end
return 1
`,
);

/** What live workers report, as JSON. Key: the reports. Argument: milliseconds of silence that mean gone. */
export const REPORTS: Script = new Script(
  'reports',
  `${NOW}
local fresh = {}
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  local seen, report = string.match(all[at + 1], '^(%d+) (.*)$')
  if seen and tonumber(seen) >= now - tonumber(ARGV[1]) then
    fresh[#fresh + 1] = report
  else
    redis.call('HDEL', KEYS[1], all[at])
  end
end
return fresh
`,
);

/** Live workers. Key: the model's workers. Argument: milliseconds of silence that mean gone. */
export const LIVE_WORKERS: Script = new Script(
  'live-workers',
  `${NOW}
return redis.call('ZCOUNT', KEYS[1], now - tonumber(ARGV[1]), '+inf')
`,
);
