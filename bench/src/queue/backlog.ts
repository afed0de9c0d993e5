import { randomUUID } from 'node:crypto';
import { openProducer } from '@shoal/queue';
import { type Finding, ratioFinding } from '../finding.ts';
import { interleave } from '../interleave.ts';
import type { BenchOptions, Scenario } from '../scenario.ts';
import { median, pairedRatio } from '../statistics.ts';
import { Child } from './child.ts';
import { freshQueue, type QueueAddress, requestOf } from './jobs.ts';
import { MeasuredRedis } from './redis-cost.ts';
import type { WorkerCalls, WorkerKind } from './worker-process.ts';

const BATCH = 32;
const SUBMITTED_AT_ONCE = 250;

interface Sample {
  jobsPerSecond: number;
  workerMicrosPerJob: number;
  redisMicrosPerJob: number;
  commandsPerJob: number;
}

/** How fast one worker works off what waits, and what it costs. Every contestant gets the same jobs. */
export const backlog: Scenario = { name: 'backlog', title: 'a backlog of 500-byte jobs, one worker', run };

async function* run({ quick, rounds }: BenchOptions): AsyncGenerator<Finding> {
  const jobs = quick ? 500 : 8_000;
  const redis = await MeasuredRedis.launch();
  const contestants = [
    contestant('plain', 'plain', redis, jobs),
    contestant('plain again', 'plain', redis, jobs),
    contestant('collector', 'collector', redis, jobs),
    contestant('ours', 'bulk', redis, jobs),
  ];
  try {
    const samples = await interleave(contestants, rounds);
    const of = (name: string, field: keyof Sample): number[] => samples.get(name)?.map((one) => one[field]) ?? [];
    for (const { name } of contestants) {
      yield { name: `${name}: drained`, unit: 'jobs/s', value: median(of(name, 'jobsPerSecond')) };
      yield { name: `${name}: worker CPU per job`, unit: 'µs', value: median(of(name, 'workerMicrosPerJob')) };
      yield { name: `${name}: Redis CPU per job`, unit: 'µs', value: median(of(name, 'redisMicrosPerJob')) };
    }
    const ratio = (a: string, b: string, field: keyof Sample): ReturnType<typeof pairedRatio> =>
      pairedRatio(of(a, field), of(b, field));
    yield ratioFinding('A/A: plain, jobs/s', ratio('plain again', 'plain', 'jobsPerSecond'));
    yield ratioFinding('collector ÷ plain, jobs/s', ratio('collector', 'plain', 'jobsPerSecond'));
    yield ratioFinding('ours ÷ plain, jobs/s', ratio('ours', 'plain', 'jobsPerSecond'), { atLeast: 1.2 });
    const cpu = ratio('ours', 'plain', 'workerMicrosPerJob');
    yield ratioFinding('ours ÷ plain, worker CPU per job', cpu, { atMost: 0.45 });
    yield ratioFinding('ours ÷ plain, Redis CPU per job', ratio('ours', 'plain', 'redisMicrosPerJob'));
    const commands = median(of('ours', 'commandsPerJob'));
    yield { name: 'ours: commands per job, batch 32', unit: '', value: commands, target: { atMost: 0.05 } };
  } finally {
    for (const { close } of contestants) close();
    await redis.close();
  }
}

function contestant(
  name: string,
  kind: WorkerKind,
  redis: MeasuredRedis,
  jobs: number,
): { name: string; measure(): Promise<Sample>; close(): void } {
  const child = new Child<WorkerCalls>('worker-process.js');
  const measure = async (): Promise<Sample> => {
    const address = freshQueue(redis.url);
    await fill(address, jobs);
    const before = await redis.cpuMicros();
    const { ms, cpuMicros, commands } = await child.call('drain', { kind, address, batch: BATCH, jobs });
    const redisMicros = (await redis.cpuMicros()) - before;
    await redis.forget(address);
    return {
      jobsPerSecond: (jobs / ms) * 1000,
      workerMicrosPerJob: cpuMicros / jobs,
      redisMicrosPerJob: redisMicros / jobs,
      commandsPerJob: commands / jobs,
    };
  };
  return { name, measure, close: () => child.close() };
}

/** Puts so many jobs on the queue. */
export async function fill(address: QueueAddress, jobs: number): Promise<void> {
  const producer = openProducer({ ...address, maxQueueSize: jobs + 1 });
  const request = requestOf();
  let left = jobs;
  const one = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await producer.submit(request, { id: randomUUID(), priority: 5 });
    }
  };
  await Promise.all(Array.from({ length: SUBMITTED_AT_ONCE }, one));
  await producer.close();
}
