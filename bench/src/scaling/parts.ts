import { availableParallelism } from 'node:os';
import { launchRedis } from '../../../scripts/redis.mjs';
import { freshQueue } from '../queue/jobs.ts';
import { costFindings } from './cost-findings.ts';
import { kneeOf } from './knee.ts';
import { type Load, measurePoint, type Point } from './point.ts';
import type { PartName, PartReport } from './scaling-report.ts';
import { compareShards } from './shard-comparison.ts';
import { fullSpeed, type SimulatedDevice } from './simulated-worker.ts';
import { STEADY } from './steady-redis.ts';

export interface PartOptions {
  /** Numbers of workers. */
  readonly workers: readonly number[];
  readonly windowMs: number;
  /** Repetitions of what is compared. */
  readonly rounds: number;
  /** Told of each point as soon as it is known. */
  readonly onPoint: (name: string, point: Point) => void;
}

export type MeasuredPart = Pick<PartReport, 'title' | 'device' | 'points' | 'findings' | 'knee'>;

/** One accelerator: 38 ms for a step of 16 sequences, 421 tokens per second. */
const DEVICE: SimulatedDevice = { slots: 16, stepMs: 30, sequenceMs: 0.5 };
const ANSWER = { least: 32, most: 96 };
/** Where a job and its tokens are told apart: lengths that differ, and workers that no machine is full of. */
const [SHORT, LONG] = [8, 128];
const COST_WORKERS = 24;

export const PARTS: Readonly<Record<PartName, (options: PartOptions) => Promise<MeasuredPart>>> = {
  streamed: (options) => grow('every token read as it comes', true, options),
  unread: (options) => grow('jobs that nobody listens to', false, options),
  costs,
  shards: compareShards,
};

/** More and more workers on one Redis. */
async function grow(title: string, streamed: boolean, options: PartOptions): Promise<MeasuredPart> {
  const redis = await launchRedis({ args: STEADY });
  const points: PartReport['points'][number][] = [];
  try {
    for (const workers of options.workers) {
      const point = await onOneRedis(redis.url, { workers, device: DEVICE, answer: ANSWER, streamed }, options);
      options.onPoint(`${workers} workers`, point);
      points.push({ name: `${workers} workers`, ...point });
    }
  } finally {
    await redis.stop();
  }
  const knee = kneeOf(points, availableParallelism(), fullSpeed(DEVICE));
  return { title, device: DEVICE, points, knee, findings: [] };
}

/** What a token, a job and an idle worker cost Redis: three unknowns, three points. */
async function costs(options: PartOptions): Promise<MeasuredPart> {
  const redis = await launchRedis({ args: STEADY });
  const measure = async (name: string, tokens: number, idle = false): Promise<PartReport['points'][number]> => {
    const load = {
      workers: COST_WORKERS,
      device: DEVICE,
      streamed: true,
      answer: { least: tokens, most: tokens },
      idle,
    };
    const point = await onOneRedis(redis.url, load, options);
    options.onPoint(name, point);
    return { name, ...point };
  };
  try {
    const idle = await measure('idle', 1, true);
    const short = await measure(`${SHORT} tokens`, SHORT);
    const long = await measure(`${LONG} tokens`, LONG);
    const title = 'what Redis spends on a token, a job, an idle worker';
    return { title, device: DEVICE, points: [idle, short, long], findings: costFindings({ idle, short, long }) };
  } finally {
    await redis.stop();
  }
}

async function onOneRedis(redisUrl: string, load: Omit<Load, 'addresses'>, { windowMs }: PartOptions): Promise<Point> {
  return await measurePoint({ ...load, addresses: [freshQueue(redisUrl)] }, [redisUrl], windowMs);
}
