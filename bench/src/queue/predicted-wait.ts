import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { openProducer } from '@shoal/queue';
import type { Finding } from '../finding.ts';
import { random } from '../random.ts';
import type { BenchOptions, Scenario } from '../scenario.ts';
import { quantile } from '../statistics.ts';
import { Child } from './child.ts';
import { freshQueue, requestOf } from './jobs.ts';
import { MeasuredRedis } from './redis-cost.ts';
import type { WorkerCalls } from './worker-process.ts';

const SLOTS = 16;
const TOKEN_MS = 2;
const WAITING = 100;
/** Waits shorter than this are a matter of round trips, not of prediction. */
const SHORTEST_WAIT_MS = 50;

/** Requests of 16 to 256 tokens, about a hundred of them waiting at any time: is the wait what was said? */
export const predictedWait: Scenario = { name: 'predicted-wait', title: 'predicted wait ÷ actual, steady load', run };

async function* run({ quick }: BenchOptions): AsyncGenerator<Finding> {
  const jobs = quick ? 150 : 1_500;
  const redis = await MeasuredRedis.launch();
  const worker = new Child<WorkerCalls>('worker-process.js');
  const address = freshQueue(redis.url);
  const producer = openProducer({ ...address, maxQueueSize: jobs });
  const next = random(1);
  try {
    let claimed = false;
    const paced = worker.call('pace', { address, slots: SLOTS, tokenMs: TOKEN_MS, jobs }).finally(() => {
      claimed = true;
    });
    for (let submitted = 0; !claimed; ) {
      const { waiting } = await producer.depth();
      for (let more = waiting; more < WAITING && submitted < jobs + WAITING; more += 1) {
        const params = { ...requestOf().params, maxTokens: 16 + Math.floor(240 * next()) };
        await producer.submit(requestOf({ params }), { id: randomUUID(), priority: 5 });
        submitted += 1;
      }
      await sleep(20);
    }
    const waits = (await paced).filter(({ queueMs }) => queueMs >= SHORTEST_WAIT_MS);
    // The first half is where the rate is learnt.
    const ratios = waits.slice(waits.length / 2).map(({ predictedMs, queueMs }) => predictedMs / queueMs);
    yield { name: 'predicted ÷ actual, p10', unit: 'ratio', value: quantile(ratios, 0.1) };
    yield {
      name: 'predicted ÷ actual, median',
      unit: 'ratio',
      value: quantile(ratios, 0.5),
      target: { atLeast: 0.75 },
    };
    yield { name: 'predicted ÷ actual, median', unit: 'ratio', value: quantile(ratios, 0.5), target: { atMost: 1.25 } };
    yield { name: 'predicted ÷ actual, p90', unit: 'ratio', value: quantile(ratios, 0.9) };
  } finally {
    worker.close();
    await producer.close();
    await redis.close();
  }
}
