import { availableParallelism } from 'node:os';
import { type Finding, ratioFinding } from '../finding.ts';
import { Child } from '../queue/child.ts';
import { median, pairedRatio } from '../statistics.ts';
import type { MeasuredPart, PartOptions } from './parts.ts';
import { measurePoint, type Point } from './point.ts';
import type { PartReport } from './scaling-report.ts';
import { type Shards, startShards } from './shards.ts';
import type { SimulatedDevice } from './simulated-worker.ts';
import type { ThrottleCalls } from './throttle-process.ts';

const PREFIX = 'bench';
const WORKERS_PER_MODEL = 6;
/** Short answers of a fast device: work for Redis, little for anybody else. */
const DEVICE: SimulatedDevice = { slots: 16, stepMs: 8, sequenceMs: 0.1 };
const ANSWER = { least: 2, most: 6 };
/** What each Redis gets of a core, so that Redis is the limit, and not the machine on which all of this runs. */
const SHARE = 0.2;
const TARGET = 1.7;

/**
 * Two models, the same workers and callers, on a Cluster of two: both on one shard, and one on each. Once with each
 * Redis held to a share of a core, and once with what the machine has.
 */
export async function compareShards(options: PartOptions): Promise<MeasuredPart> {
  const shards = await startShards(2);
  if (shards === undefined) {
    throw new Error('a Cluster is made of Redis processes of its own: unset REDIS_URL, and install redis-server');
  }
  const points: PartReport['points'][number][] = [];
  const findings: Finding[] = [];
  try {
    for (const share of [SHARE, 1]) {
      const samples = { one: [] as Point[], two: [] as Point[] };
      for (let round = 0; round < options.rounds; round++) {
        for (const spread of ['one', 'two'] as const) {
          const point = await measure(shards, { spread, share }, options.windowMs);
          const name = `both models on ${spread === 'one' ? 'one shard' : 'a shard each'}, ${howOf(share)}`;
          options.onPoint(name, point);
          points.push({ name, ...point });
          samples[spread].push(point);
        }
      }
      findings.push(...findingsOf(share, samples));
    }
  } finally {
    await shards.stop();
  }
  return { title: 'two models on one shard of a Cluster, and on two', device: DEVICE, points, findings };
}

async function measure(
  { redisUrl, masters, modelsOn }: Shards,
  { spread, share }: { spread: 'one' | 'two'; share: number },
  windowMs: number,
): Promise<Point> {
  const models =
    spread === 'one'
      ? await modelsOn(0, PREFIX, 2)
      : [...(await modelsOn(0, PREFIX, 1)), ...(await modelsOn(1, PREFIX, 1))];
  const load = {
    addresses: models.map((model) => ({ redisUrl, prefix: PREFIX, model })),
    ...{ workers: WORKERS_PER_MODEL, device: DEVICE, answer: ANSWER, streamed: false },
  };
  const urls = masters.map(({ url }) => url);
  if (share === 1) return await measurePoint(load, urls, windowMs);
  const throttle = new Child<ThrottleCalls>('../scaling/throttle-process.js');
  try {
    await throttle.call('throttle', { pids: masters.map(({ pid }) => pid), share });
    return await measurePoint(load, urls, windowMs);
  } finally {
    await throttle.call('release', undefined as never);
    throttle.close();
  }
}

function howOf(share: number): string {
  return share === 1 ? 'with what the machine has' : `each Redis at most ${100 * share} % of a core`;
}

function findingsOf(share: number, { one, two }: { one: readonly Point[]; two: readonly Point[] }): Finding[] {
  const how = howOf(share);
  const jobs = (points: readonly Point[]): number[] => points.map(({ jobsPerSecond }) => jobsPerSecond);
  const middle = (points: readonly Point[], of: (point: Point) => number): number => median(points.map(of));
  const target = share === 1 ? undefined : { atLeast: TARGET };
  const cores = availableParallelism();
  return [
    ratioFinding(`two shards ÷ one, jobs/s, ${how}`, pairedRatio(jobs(two), jobs(one)), target),
    ...(['one', 'two'] as const).flatMap((spread): Finding[] => {
      const points = { one, two }[spread];
      const where = `${spread === 'one' ? 'one shard' : 'two shards'}, ${how}`;
      return [
        { name: `${where}: jobs/s`, unit: '', value: median(jobs(points)) },
        {
          name: `${where}: the busiest Redis`,
          unit: 'cores',
          value: middle(points, ({ redis }) => redis.busiestMainCores),
        },
        {
          name: `${where}: the machine, of ${cores}`,
          unit: 'cores',
          value: middle(points, ({ hostCores }) => hostCores),
        },
      ];
    }),
  ];
}
