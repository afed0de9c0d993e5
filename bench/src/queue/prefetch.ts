import type { Finding } from '../finding.ts';
import { type Contestant, interleave } from '../interleave.ts';
import type { BenchOptions, Scenario } from '../scenario.ts';
import { median } from '../statistics.ts';
import { fill } from './backlog.ts';
import { Child } from './child.ts';
import { freshQueue } from './jobs.ts';
import { MeasuredRedis } from './redis-cost.ts';
import type { WorkerCalls } from './worker-process.ts';

const SLOTS = 16;
const PREFETCHED = [0, 2, 4];
const STEPS_MS = [2, 5, 20];
/** Short answers: the more often a slot changes hands, the more it matters how soon. */
const ANSWERS = [8, 24] as const;

/** How much of its slots an engine has empty although jobs wait, by how many of them its worker holds in advance. */
export const prefetch: Scenario = {
  name: 'prefetch',
  title: `answers of ${ANSWERS.join(' to ')} tokens in ${SLOTS} slots, a backlog`,
  run,
};

async function* run({ quick, rounds }: BenchOptions): AsyncGenerator<Finding> {
  const redis = await MeasuredRedis.launch();
  const worker = new Child<WorkerCalls>('worker-process.js');
  const contestant = (stepMs: number, prefetched: number): Contestant => ({
    name: `steps of ${stepMs} ms, ${prefetched} in advance`,
    measure: async () => {
      const address = freshQueue(redis.url);
      const jobs = quick ? 2 * SLOTS : Math.ceil(20 * SLOTS * Math.min(1, 8 / stepMs));
      await fill(address, jobs);
      const options = { address, slots: SLOTS, prefetched, stepMs, answers: ANSWERS, jobs };
      const { idleShare } = await worker.call('occupy', options);
      await redis.forget(address);
      return 100 * idleShare;
    },
  });
  try {
    const contestants = STEPS_MS.flatMap((stepMs) => PREFETCHED.map((prefetched) => contestant(stepMs, prefetched)));
    for (const [name, idle] of await interleave(contestants, rounds)) {
      yield { name: `slots empty while jobs wait, ${name}`, unit: '%', value: median(idle) };
    }
  } finally {
    worker.close();
    await redis.close();
  }
}
