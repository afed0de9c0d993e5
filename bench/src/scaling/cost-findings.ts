import type { Finding } from '../finding.ts';
import type { Point } from './point.ts';
import type { RedisLoad } from './redis-load.ts';

/**
 * What an idle worker, a job and a token cost. The idle fleet's load is the workers'; of what is left with short and
 * with long answers, `perSecond = jobs · a + tokens · b` is solved for a and b.
 */
export function costFindings({ idle, short, long }: { idle: Point; short: Point; long: Point }): Finding[] {
  return KINDS.flatMap(({ what, unit, of }) => {
    const still = of(idle.redis);
    const [perJob, perToken] = solve(
      [short.jobsPerSecond, short.tokensPerSecond, of(short.redis) - still],
      [long.jobsPerSecond, long.tokensPerSecond, of(long.redis) - still],
    );
    return [
      { name: `${what} per token`, unit, value: perToken },
      { name: `${what} per job, beside its tokens`, unit, value: perJob },
      { name: `${what} per idle worker and second`, unit, value: still / idle.workers },
    ];
  });
}

const KINDS: readonly { what: string; unit: string; of(load: RedisLoad): number }[] = [
  { what: 'Redis CPU', unit: 'µs', of: ({ mainCores }) => 1e6 * mainCores },
  { what: 'scripts', unit: '', of: ({ scriptsPerSecond }) => scriptsPerSecond },
  { what: 'commands, those of scripts included,', unit: '', of: ({ commandsPerSecond }) => commandsPerSecond },
  { what: 'bytes to Redis', unit: 'bytes', of: ({ bytesInPerSecond }) => bytesInPerSecond },
  { what: 'bytes from Redis', unit: 'bytes', of: ({ bytesOutPerSecond }) => bytesOutPerSecond },
];

type Equation = readonly [jobs: number, tokens: number, sum: number];

/** Cramer's rule. */
function solve([a, b, s]: Equation, [c, d, t]: Equation): readonly [number, number] {
  const determinant = a * d - b * c;
  return [(s * d - b * t) / determinant, (a * t - s * c) / determinant];
}
