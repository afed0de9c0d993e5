import { randomUUID } from 'node:crypto';
import { openQueue, sharingKey } from '@shoal/queue';
import type { Finding } from '../finding.ts';
import type { Scenario } from '../scenario.ts';
import { Child } from './child.ts';
import { freshQueue, requestOf } from './jobs.ts';
import { MeasuredRedis } from './redis-cost.ts';
import type { WorkerCalls } from './worker-process.ts';

const REQUESTS = 100;

/** Equal requests with a seed, all at once: one of them is generated, all of them are answered. */
export const sharing: Scenario = { name: 'sharing', title: `${REQUESTS} equal requests at once`, run };

async function* run(): AsyncGenerator<Finding> {
  const redis = await MeasuredRedis.launch();
  const worker = new Child<WorkerCalls>('worker-process.js');
  const address = freshQueue(redis.url);
  const queue = openQueue(address);
  const request = requestOf();
  const key = sharingKey(request, 'bench');
  if (key === undefined) throw new Error('a request with a seed has a sharing key');
  const ask = async (): Promise<string> => {
    const id = randomUUID();
    await queue.producer.submit(request, { id, priority: 5, sharingKey: key });
    for await (const event of queue.replies.attach(id)) {
      if (event.type === 'completed') return event.result.text;
    }
    throw new Error('no result');
  };
  try {
    await queue.ready();
    await worker.call('serve', { kind: 'bulk', address, batch: 32 });
    const texts = await Promise.all(Array.from({ length: REQUESTS }, ask));
    const { done } = await worker.call('stop', undefined);
    yield { name: 'generations', unit: '', value: done, target: { atMost: 1 } };
    yield { name: 'answers', unit: '', value: texts.length, target: { atLeast: REQUESTS } };
    yield { name: 'different answers', unit: '', value: new Set(texts).size, target: { atMost: 1 } };
  } finally {
    worker.close();
    await queue.close();
    await redis.close();
  }
}
