import { type Finding, ratioFinding } from '../finding.ts';
import { type Contestant, interleave } from '../interleave.ts';
import type { BenchOptions, Scenario } from '../scenario.ts';
import { median, type PairedRatio, pairedRatio, quantile } from '../statistics.ts';
import { Child } from './child.ts';
import { freshQueue } from './jobs.ts';
import type { ProducerKind } from './producer-process.ts';
import { Producers } from './producers.ts';
import { MeasuredRedis } from './redis-cost.ts';
import type { WorkerCalls, WorkerKind } from './worker-process.ts';

const PRODUCERS = 8;
const BATCH = 32;
const IN_FLIGHT = 2_000;

interface Sample {
  jobsPerSecond: number;
  producerMicrosPerJob: number;
  workerMicrosPerJob: number;
  redisMicrosPerJob: number;
  /** From the result at the worker to the result at the producer, ms. */
  p50: number;
  p99: number;
}

/** How fast results come back to those who wait for them. */
export const results: Scenario = {
  name: 'results',
  title: `${PRODUCERS} producers that wait for results, ${IN_FLIGHT} requests in flight, one worker`,
  run,
};

async function* run({ quick, rounds }: BenchOptions): AsyncGenerator<Finding> {
  const jobs = quick ? 400 : 8_000;
  const redis = await MeasuredRedis.launch();
  const producers = new Producers(PRODUCERS);
  const worker = new Child<WorkerCalls>('worker-process.js');
  const contestant = (name: string, kind: WorkerKind, ear: ProducerKind): Contestant<Sample> => ({
    name,
    measure: () => roundTrips({ redis, producers, worker, kind, ear, jobs, inFlight: quick ? 200 : IN_FLIGHT }),
  });
  const contestants = [
    contestant('QueueEvents', 'plain', 'events'),
    contestant('QueueEvents again', 'plain', 'events'),
    contestant('collector', 'collector', 'replies'),
    contestant('ours', 'bulk', 'replies'),
  ];
  try {
    const samples = await interleave(contestants, rounds);
    const of = (name: string, field: keyof Sample): number[] => samples.get(name)?.map((one) => one[field]) ?? [];
    const ratio = (a: string, b: string, field: keyof Sample): PairedRatio => pairedRatio(of(a, field), of(b, field));
    for (const { name } of contestants) {
      yield { name: `${name}: answered`, unit: 'jobs/s', value: median(of(name, 'jobsPerSecond')) };
      yield { name: `${name}: producers' CPU per job`, unit: 'µs', value: median(of(name, 'producerMicrosPerJob')) };
      yield { name: `${name}: worker CPU per job`, unit: 'µs', value: median(of(name, 'workerMicrosPerJob')) };
      yield { name: `${name}: Redis CPU per job`, unit: 'µs', value: median(of(name, 'redisMicrosPerJob')) };
      yield { name: `${name}: result → receipt, p50`, unit: 'ms', value: median(of(name, 'p50')) };
      const p99 = { name: `${name}: result → receipt, p99`, unit: 'ms', value: median(of(name, 'p99')) };
      yield name === 'ours' ? { ...p99, target: { atMost: 30 } } : p99;
    }
    const again = ratio('QueueEvents again', 'QueueEvents', 'jobsPerSecond');
    yield ratioFinding('A/A: QueueEvents, jobs/s', again);
    yield ratioFinding('collector ÷ QueueEvents, jobs/s', ratio('collector', 'QueueEvents', 'jobsPerSecond'));
    yield ratioFinding('ours ÷ QueueEvents, jobs/s', ratio('ours', 'QueueEvents', 'jobsPerSecond'), { atLeast: 2 });
    const cpu = ratio('ours', 'QueueEvents', 'producerMicrosPerJob');
    yield ratioFinding("ours ÷ QueueEvents, producers' CPU per job", cpu);
  } finally {
    producers.close();
    worker.close();
    await redis.close();
  }
}

async function roundTrips(options: {
  redis: MeasuredRedis;
  producers: Producers;
  worker: Child<WorkerCalls>;
  kind: WorkerKind;
  ear: ProducerKind;
  jobs: number;
  inFlight: number;
}): Promise<Sample> {
  const { redis, producers, worker, kind, ear, jobs } = options;
  const address = freshQueue(redis.url);
  await Promise.all([producers.connect(ear, address), worker.call('serve', { kind, address, batch: BATCH })]);
  const redisBefore = await redis.cpuMicros();
  const startedAt = performance.now();
  const each = { jobs: jobs / PRODUCERS, inFlight: options.inFlight / PRODUCERS };
  const spent = await producers.all('roundTrips', () => each);
  const seconds = (performance.now() - startedAt) / 1000;
  const redisMicros = (await redis.cpuMicros()) - redisBefore;
  const served = await worker.call('stop', undefined);
  await producers.disconnect();
  await redis.forget(address);
  const delays = spent.flatMap((one) => one.delays);
  return {
    jobsPerSecond: jobs / seconds,
    producerMicrosPerJob: spent.reduce((sum, { cpuMicros }) => sum + cpuMicros, 0) / jobs,
    workerMicrosPerJob: served.cpuMicros / jobs,
    redisMicrosPerJob: redisMicros / jobs,
    p50: median(delays),
    p99: quantile(delays, 0.99),
  };
}
