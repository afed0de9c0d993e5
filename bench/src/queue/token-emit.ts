import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Finding } from '../finding.ts';
import { type Contestant, interleave } from '../interleave.ts';
import type { BenchOptions, Scenario } from '../scenario.ts';
import { median } from '../statistics.ts';
import { Child } from './child.ts';
import { freshQueue, type QueueAddress } from './jobs.ts';
import { Producers } from './producers.ts';
import { MeasuredRedis } from './redis-cost.ts';
import type { WorkerCalls } from './worker-process.ts';

const PRODUCERS = 4;
const SEQUENCES = 32;
const TARGET_MICROS = 15;
/** Steps of a fast device, of a usual one, and of a large model. */
const STEPS_MS = [2, 5, 20];
/** Of each sequence: enough that its submission, claim and end, which others measure, are a small part of it. */
const TOKENS = 300;
/** Steps that do not end before their tokens are written: Redis does not sleep, as when it is the limit. */
const BACK_TO_BACK = 0;

/** What a token costs Redis, readers included: its whole processor time, less what it spends when nothing happens. */
export const tokenEmit: Scenario = {
  name: 'token-emit',
  title: `tokens of ${SEQUENCES} sequences for ${PRODUCERS} producers`,
  run,
};

async function* run({ quick, rounds }: BenchOptions): AsyncGenerator<Finding> {
  const redis = await MeasuredRedis.launch();
  const producers = new Producers(PRODUCERS);
  const worker = new Child<WorkerCalls>('worker-process.js');
  let wrong = 0;
  const contestant = (stepMs: number): Contestant => ({
    name: stepMs === BACK_TO_BACK ? 'emits back to back' : `steps of ${stepMs} ms`,
    measure: async () => {
      const tokens = quick ? 50 : TOKENS;
      const address = freshQueue(redis.url);
      await producers.connect('replies', address);
      const idle = await idleMicrosPerMs(redis);
      const before = await redis.cpuMicros();
      const startedAt = performance.now();
      wrong += await stream({ producers, worker, address, tokens, stepMs });
      const micros = (await redis.cpuMicros()) - before - idle * (performance.now() - startedAt);
      await producers.disconnect();
      await redis.forget(address);
      return micros / (tokens * SEQUENCES);
    },
  });
  try {
    for (const [name, micros] of await interleave([...STEPS_MS, BACK_TO_BACK].map(contestant), rounds)) {
      yield {
        name: `Redis CPU per token, ${name}`,
        unit: 'µs',
        value: median(micros),
        target: { atMost: TARGET_MICROS },
      };
    }
    yield { name: 'streams that were not whole', unit: '', value: wrong, target: { atMost: 0 } };
  } finally {
    producers.close();
    worker.close();
    await redis.close();
  }
}

/** Redis' processor time in µs per ms while everybody is connected and nothing happens. */
async function idleMicrosPerMs(redis: MeasuredRedis): Promise<number> {
  const before = await redis.cpuMicros();
  const startedAt = performance.now();
  await sleep(300);
  return ((await redis.cpuMicros()) - before) / (performance.now() - startedAt);
}

/** All sequences from the first token to the end; how many streams were not what was generated. */
export async function stream(options: {
  producers: Producers;
  worker: Child<WorkerCalls>;
  address: QueueAddress;
  tokens: number;
  stepMs: number;
  ids?: string[];
}): Promise<number> {
  const { producers, worker, address, tokens, stepMs } = options;
  const ids = options.ids ?? Array.from({ length: SEQUENCES }, () => randomUUID());
  const generating = worker.call('generate', { address, sequences: ids.length, tokens, stepMs });
  const read = producers.all('read', (producer) => ({
    ids: ids.filter((_, index) => index % PRODUCERS === producer),
    tokens,
  }));
  const [, readings] = await Promise.all([generating, read]);
  return readings.reduce((sum, { wrong }) => sum + wrong, 0);
}
