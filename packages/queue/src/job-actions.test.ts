import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { openConsumer } from './bulk-consumer.ts';
import { openJobActions } from './job-actions.ts';
import { type ModelKeys, modelKeys } from './keys.ts';
import { openProducer } from './queue-producer.ts';
import { sampleRequest, sampleTokens } from './testing/requests.ts';
import { eventually } from './testing/waiting.ts';

const redisUrl = inject('redisUrl');
let names: { redisUrl: string; prefix: string; model: string };
let keys: ModelKeys;
let redis: Redis;
let closers: (() => unknown)[];

beforeEach(() => {
  names = { redisUrl, prefix: `test-${randomUUID()}`, model: 'minnow' };
  keys = modelKeys(names.prefix, names.model);
  redis = new Redis(redisUrl);
  closers = [() => redis.disconnect()];
});
afterEach(async () => {
  for (const close of closers.reverse()) await close();
});

function opened() {
  const producer = openProducer(names);
  const actions = openJobActions(names);
  closers.push(
    () => producer.close(),
    () => actions.close(),
  );
  return { producer, actions };
}

test('only a finished job begins anew: one that runs keeps its log, its deadline and its reader', async () => {
  const { producer, actions } = opened();
  const request = sampleRequest({ deadline: Date.now() + 600_000, replyTo: 'reader' });
  await producer.submit(request, { id: 'a', priority: 5 });
  const consumer = openConsumer({ ...names, capacity: 1 });
  closers.push(() => consumer.close({ timeoutMs: 0 }));
  consumer.start((job) => job.append(sampleTokens(0)));
  await eventually('its first token', async () => (await redis.exists(keys.log('a'))) === 1);
  // As when Retry is pressed twice: the first press has put it back, and a worker has it.
  await actions.cleanSlate('a');
  expect(await redis.exists(keys.log('a'))).toBe(1);
  expect(await producer.request('a')).toEqual(request);
});

test('a finished job keeps what it was asked, and nothing of its first life', async () => {
  const { producer, actions } = opened();
  const request = sampleRequest({ tenant: 'acme' });
  await producer.submit({ ...request, deadline: Date.now() + 600_000, replyTo: 'reader' }, { id: 'a', priority: 5 });
  await producer.cancel('a');
  await redis.hset(`${keys.bull}a`, 'shoal:deaths', 2);
  await redis.rpush(keys.log('a'), 'x');
  await actions.cleanSlate('a');
  expect(JSON.parse((await redis.hget(`${keys.bull}a`, 'data')) ?? '')).toEqual(JSON.parse(JSON.stringify(request)));
  expect(await redis.hexists(`${keys.bull}a`, 'shoal:deaths')).toBe(0);
  expect(await redis.exists(keys.log('a'))).toBe(0);
});
