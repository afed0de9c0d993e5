import type { Point } from './point.ts';

/** Below this share of what the devices could do, a fleet no longer grows with its workers. */
const LINEAR_SHARE = 0.95;
/** A core that is busy for this share of the time has nothing left to give. */
const SATURATED = 0.9;

/** How far throughput follows the number of workers, and what stops it. */
export interface Knee {
  /** Most workers up to which every point was linear; absent where not even the first was. */
  readonly linearUpTo?: number;
  /** Fewest workers of the first point that was not; absent where all were. */
  readonly kneeAt?: number;
  /**
   * What had nothing left to give at the knee: `redis`, the thread of it that runs commands; `host`, the cores of this
   * machine, which workers and callers share with Redis here and nowhere else: they are all busy, or Redis always had
   * work and did not get the core it wanted; `neither`.
   */
  readonly cause?: 'redis' | 'host' | 'neither';
  /** Processor time of Redis for a token, its share of the job included, in µs, at the last linear point. */
  readonly redisMicrosPerToken?: number;
  /** 1 ÷ that: what Redis alone bears, tokens per second, were it given a core that nobody else wants. */
  readonly redisTokensPerSecond?: number;
  /** The same in workers of this device. */
  readonly redisWorkers?: number;
  readonly mostTokensPerSecond: number;
}

/** @param cores of the machine */
export function kneeOf(points: readonly Point[], cores: number, tokensPerWorker: number): Knee {
  const sorted = points.toSorted((a, b) => a.workers - b.workers);
  const bent = sorted.findIndex(({ shareOfDevices }) => shareOfDevices < LINEAR_SHARE);
  const last = sorted[bent === -1 ? sorted.length - 1 : bent - 1];
  const knee = sorted[bent];
  const mostTokensPerSecond = Math.max(0, ...points.map(({ tokensPerSecond }) => tokensPerSecond));
  const micros = last && (1e6 * last.redis.mainCores) / last.tokensPerSecond;
  return {
    ...(last !== undefined && { linearUpTo: last.workers }),
    ...(knee !== undefined && { kneeAt: knee.workers, cause: causeOf(knee, cores) }),
    ...(micros !== undefined && {
      redisMicrosPerToken: micros,
      redisTokensPerSecond: 1e6 / micros,
      redisWorkers: 1e6 / micros / tokensPerWorker,
    }),
    mostTokensPerSecond,
  };
}

function causeOf({ redis, hostCores }: Point, cores: number): 'redis' | 'host' | 'neither' {
  if (redis.busiestMainCores >= SATURATED) return 'redis';
  if (redis.busiestMainCores + redis.busiestMainWaiting >= SATURATED) return 'host';
  return hostCores >= SATURATED * cores ? 'host' : 'neither';
}
