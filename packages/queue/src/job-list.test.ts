import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { listName, modelKeys } from './keys.ts';
import { LIST } from './lua/view.ts';
import type { ListPlace, Producer } from './producer.ts';
import { openProducer } from './queue-producer.ts';
import { sampleRequest, sampleResult } from './testing/requests.ts';

const redisUrl = inject('redisUrl');
let prefix: string;
let producer: Producer;
let redis: Redis;
let key: (tenant: string) => string;

beforeEach(() => {
  prefix = `test-${randomUUID()}`;
  producer = openProducer({ redisUrl, prefix, model: 'minnow' });
  redis = new Redis(redisUrl);
  key = (tenant) => modelKeys(prefix, 'minnow').own + listName(tenant);
});
afterEach(async () => {
  await producer.close();
  redis.disconnect();
});

async function submit(id: string, tenant: string | undefined, options: object = {}): Promise<void> {
  await producer.submit(sampleRequest({ tenant }), { id, priority: 5, listed: true, ...options });
}

/** Ids of a tenant's jobs, page by page. */
async function pages(tenant: string | undefined, limit: number): Promise<string[][]> {
  const seen: string[][] = [];
  for (let after: ListPlace | undefined; ; ) {
    const page = await producer.list({ tenant, after, limit });
    seen.push(page.jobs.map(({ view }) => view.id));
    const last = page.jobs.at(-1);
    if (!page.more || last === undefined) return seen;
    after = { at: last.at, id: last.view.id };
  }
}

test('a tenant’s jobs come newest first, page by page, and nobody else’s', async () => {
  for (const id of ['a', 'b', 'c', 'd', 'e']) await submit(id, 'acme');
  await submit('x', 'beta');
  await submit('y', undefined);
  await submit('unlisted', 'acme', { listed: false });
  const [...seen] = await pages('acme', 2);
  expect(seen.map((page) => page.length)).toEqual([2, 2, 1]);
  expect(seen.flat().sort()).toEqual(['a', 'b', 'c', 'd', 'e']);
  const times = (await producer.list({ tenant: 'acme', limit: 10 })).jobs.map(({ at }) => at);
  expect(times).toEqual([...times].sort((a, b) => b - a));
  expect(await pages('beta', 10)).toEqual([['x']]);
  expect(await pages(undefined, 10)).toEqual([['y']]);
});

test('jobs of the very same time are shown once each', async () => {
  for (const id of ['a', 'b', 'c']) await submit(id, 'acme');
  for (const id of ['a', 'b', 'c']) await redis.zadd(key('acme'), 1000, id);
  expect((await pages('acme', 1)).flat().filter(Boolean)).toEqual(['c', 'b', 'a']);
  const list = (after: ListPlace) => producer.list({ tenant: 'acme', after, limit: 10 });
  // The place of a job of another model, or of one that is gone: before or behind all of that time.
  expect((await list({ at: 1000 })).jobs).toHaveLength(3);
  expect((await list({ at: 1000, shown: true })).jobs).toHaveLength(0);
});

test('a row brings neither prompt nor result out of Redis', async () => {
  const prompt = 'x'.repeat(10_000);
  await producer.submit(sampleRequest({ tenant: 'acme', prompt }), { id: 'a', priority: 5, listed: true });
  const { bull, own } = modelKeys(prefix, 'minnow');
  await redis.hset(`${bull}a`, 'returnvalue', JSON.stringify(sampleResult(1, { text: prompt })));
  const reply = await LIST.run(redis, bull, [bull, own, listName('acme'), 10, '', '', '']);
  expect(JSON.stringify(reply)).toContain('"a"');
  expect(JSON.stringify(reply).length).toBeLessThan(1_000);
});

test('what is no longer kept leaves the list, and the list has an end', async () => {
  await submit('a', 'acme');
  await submit('b', 'acme');
  await redis.zadd(key('acme'), Date.now(), 'gone');
  expect((await pages('acme', 10)).flat().sort()).toEqual(['a', 'b']);
  expect(await redis.zcard(key('acme'))).toBe(2);
  expect(await redis.pttl(key('acme'))).toBeGreaterThan(0);
  await redis.zadd(key('acme'), 1, 'ancient');
  await submit('c', 'acme');
  expect(await redis.zscore(key('acme'), 'ancient')).toBeNull();
});

test('who keeps results for less long shortens no list of another producer', async () => {
  const keeper = openProducer({ redisUrl, prefix, model: 'minnow', resultTtlS: 30 * 86_400 });
  await keeper.submit(sampleRequest({ tenant: 'acme' }), { id: 'old', priority: 5, listed: true });
  // As if it had been entered a week ago.
  await redis.zincrby(key('acme'), -7 * 86_400_000, 'old');
  await submit('new', 'acme');
  expect((await pages('acme', 10)).flat()).toEqual(['new', 'old']);
  expect(await redis.pttl(key('acme'))).toBeGreaterThan(29 * 86_400_000);
  await keeper.close();
});

test('requests that share a generation are listed one by one, each with its own end', async () => {
  await submit('a', 'acme', { sharingKey: 'k' });
  await submit('b', 'acme', { sharingKey: 'k' });
  await producer.cancel('a');
  const { jobs } = await producer.list({ tenant: 'acme', limit: 10 });
  const statuses = jobs.map(({ view }) => [view.id, view.status]).sort();
  expect(statuses).toEqual([
    ['a', 'cancelled'],
    ['b', 'queued'],
  ]);
});
