import { randomUUID } from 'node:crypto';
import { openProducer, openRegistry, type Producer } from '@shoal/queue';
import { eventually } from '@shoal/queue/testing';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import type { BatchOutcome } from '../batch.ts';
import type { ShoalClient } from '../client.ts';
import type { ShoalRequest } from '../request.ts';
import { redisClient } from './redis-client.ts';

const redisUrl = inject('redisUrl');
const COUNT = 40;

describe('a batch over Redis that is left, and its client closed at once', () => {
  let producer: Producer;
  let client: ShoalClient;

  beforeEach(async () => {
    const place = { redisUrl, prefix: `test-${randomUUID()}`, model: 'm' };
    producer = openProducer(place);
    client = redisClient(place);
    const registry = openRegistry(place);
    const card = { vocabSize: 9, maxModelLen: 9, chat: false, revision: 'r', dtype: 'fp32', executionProvider: 'cpu' };
    // No worker takes the jobs: they stay until somebody cancels them.
    const leave = registry.announce('w', { name: 'm', ...card });
    await eventually('the model is announced', async () => (await registry.list()).length === 1);
    await leave();
    registry.close();
  });
  afterEach(async () => {
    await client.close();
    await producer.close();
  });

  const accepted = () => eventually('all are on the queue', async () => (await producer.depth()).waiting === COUNT);

  /** Good ones, and when they wait on the queue, what comes last. */
  async function* requests(last: () => Iterable<ShoalRequest>): AsyncGenerator<ShoalRequest> {
    for (let n = 0; n < COUNT; n += 1) yield { prompt: String(n) };
    await accepted();
    yield* last();
  }

  async function readToTheFirst(batch: AsyncIterable<BatchOutcome>): Promise<void> {
    try {
      for await (const _ of batch) break;
    } finally {
      await client.close();
    }
  }

  async function statuses(): Promise<string[]> {
    const { jobs } = await producer.list({ limit: 100 });
    return jobs.map(({ view }) => view.status);
  }

  const all = Array(COUNT).fill('cancelled');

  it('cancels its jobs when the loop was broken off', async () => {
    // Refused without a worker: the first outcome.
    const refused = () => [{ prompt: 'x', temperature: 9 }];
    await readToTheFirst(client.submitBatch(requests(refused)));
    expect(await statuses()).toEqual(all);
  });

  it('cancels its jobs when whoever brings the requests failed', async () => {
    const fails = () => {
      throw new TypeError('a bad line');
    };
    await expect(readToTheFirst(client.submitBatch(requests(fails)))).rejects.toThrow('a bad line');
    expect(await statuses()).toEqual(all);
  });

  it('cancels its jobs when it was aborted, before the loop has noticed', async () => {
    const abort = new AbortController();
    const reading = readToTheFirst(
      client.submitBatch(
        requests(() => []),
        { signal: abort.signal },
      ),
    );
    const told = expect(reading).rejects.toMatchObject({ code: 'cancelled' });
    await accepted();
    abort.abort();
    await client.close();
    expect(await statuses()).toEqual(all);
    await told;
  });
});
