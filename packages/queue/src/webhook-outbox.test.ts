import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { openConsumer } from './bulk-consumer.ts';
import type { ClaimedJob } from './consumer.ts';
import type { ConsumerOptions } from './consumer-options.ts';
import { modelKeys } from './keys.ts';
import { MAX_TENANT_WEBHOOKS } from './lua/webhooks.ts';
import type { Producer } from './producer.ts';
import { openProducer } from './queue-producer.ts';
import { sampleRequest, sampleResult } from './testing/requests.ts';
import { eventually } from './testing/waiting.ts';
import { type CallBound, openWebhookOutbox, type WebhookOutbox } from './webhook-outbox.ts';

const redisUrl = inject('redisUrl');
const url = 'https://example.com/hook';
let prefix: string;
let producer: Producer;
let outbox: WebhookOutbox;
let redis: Redis;
let closers: (() => Promise<void>)[];

beforeEach(() => {
  prefix = `test-${randomUUID()}`;
  producer = openProducer({ redisUrl, prefix, model: 'minnow' });
  outbox = openWebhookOutbox({ redisUrl, prefix, model: 'minnow' });
  redis = new Redis(redisUrl);
  closers = [];
});
afterEach(async () => {
  await Promise.all(closers.map((close) => close()));
  await producer.close();
  outbox.close();
  redis.disconnect();
});

async function submit(id: string, fields: object = {}): Promise<void> {
  await producer.submit(sampleRequest(fields), { id, priority: 5, webhookUrl: url });
}

function work(handle: (job: ClaimedJob) => void, options: Partial<ConsumerOptions> = {}): void {
  const consumer = openConsumer({ redisUrl, prefix, model: 'minnow', capacity: 4, ...options });
  consumer.start(handle);
  closers.push(() => consumer.close({ timeoutMs: 0 }));
}

/** Makes a call due that is leased, or waits for its next attempt. */
const makeDue = (id: string) => redis.zadd(`${modelKeys(prefix, 'minnow').own}webhooks`, 0, id);
const ANY: CallBound = { most: 100, underWay: new Map() };
const statesOf = async (id: string) => (await producer.view(id))?.webhook;

test('every end of a job is put into the outbox, with the end itself', async () => {
  await submit('cancelled');
  await producer.cancel('cancelled');
  await submit('expired');
  // As if it had waited past its deadline.
  const late = JSON.stringify(sampleRequest({ deadline: Date.now() - 60_000 }));
  await redis.hset(`${modelKeys(prefix, 'minnow').bull}expired`, 'data', late);
  await submit('done');
  await submit('broken', { prompt: 'fail' });
  await producer.submit(sampleRequest(), { id: 'plain', priority: 5 });
  expect(await statesOf('done')).toEqual({ state: 'waiting', attempts: 0 });
  work((job) => {
    if (job.request.prompt === 'fail') void job.fail({ code: 'inference_error', message: 'nan' });
    else void job.complete(sampleResult(1));
  });
  await eventually('all to end', async () => (await redis.zcard(`${modelKeys(prefix, 'minnow').own}webhooks`)) === 4);
  await eventually('the one without a hook to end', async () => (await producer.view('plain'))?.status === 'completed');
  const calls = await outbox.take(10, 1000);
  expect(calls.map(({ jobId, outcome, error }) => [jobId, outcome, error?.code]).sort()).toEqual([
    ['broken', 'failed', 'inference_error'],
    ['cancelled', 'failed', 'cancelled'],
    ['done', 'completed', undefined],
    ['expired', 'failed', 'deadline_exceeded'],
  ]);
  expect(calls.every((call) => call.url === url && call.attempt === 1 && call.endedAt > 0)).toBe(true);
});

test('a job that is given up for its workers’ deaths is told of, too', async () => {
  await submit('poison');
  const { bull } = modelKeys(prefix, 'minnow');
  // As if a worker had died while it ran this job alone.
  await redis.hset(`${bull}poison`, 'shoal:alone', 1, 'shoal:base', 0, 'ats', 1);
  await redis.zrem(`${bull}prioritized`, 'poison');
  await redis.lpush(`${bull}active`, 'poison');
  work(() => {}, { maxAttempts: 1, lockDurationMs: 500, stalledIntervalMs: 250 });
  await eventually('the job to be given up', async () => (await producer.view('poison'))?.status === 'failed');
  expect(await outbox.take(10, 1000)).toMatchObject([{ jobId: 'poison', error: { code: 'worker_lost' } }]);
});

test('a call that was taken is nobody else’s until its lease is over; then it is made again', async () => {
  await submit('a');
  await producer.cancel('a');
  const [first] = await outbox.take(10, 60_000);
  expect(first).toMatchObject({ jobId: 'a', attempt: 1 });
  expect(await outbox.take(10, 60_000)).toEqual([]);
  await makeDue('a');
  const [second] = await outbox.take(10, 60_000);
  expect(second).toEqual({ ...first, attempt: 2 });
  if (first === undefined || second === undefined) throw new Error('two calls');
  // The first one's word comes late: a failure says nothing any more, a success does.
  await outbox.settle(first, { state: 'failed', reason: 'late' });
  expect(await statesOf('a')).toEqual({ state: 'pending', attempts: 2 });
  await outbox.settle(first, { state: 'delivered' });
  await outbox.settle(second, { state: 'pending', reason: 'HTTP 500', delayMs: 0 });
  expect(await statesOf('a')).toEqual({ state: 'delivered', attempts: 2 });
  expect(await outbox.take(10, 60_000)).toEqual([]);
});

test('one receiver gets so many calls at a time; those to others are not held up behind them', async () => {
  for (const id of ['a', 'b', 'c']) {
    await submit(id);
    await producer.cancel(id);
  }
  const other = { id: 'd', priority: 5, webhookUrl: 'https://Example.org:8443/x' };
  await producer.submit(sampleRequest(), other);
  await producer.cancel('d');
  const take = async (limit: number, ...underWay: [string, number][]) =>
    (await outbox.take(limit, 60_000, { hosts: { most: 2, underWay: new Map(underWay) }, tenants: ANY })).map(
      ({ jobId, host }) => [jobId, host],
    );
  expect(await take(1, ['example.com', 2])).toEqual([['d', 'example.org:8443']]);
  for (const id of ['a', 'b', 'c']) await makeDue(id);
  expect(await take(10, ['example.com', 1])).toEqual([['a', 'example.com']]);
  for (const id of ['b', 'c']) await makeDue(id);
  // What was passed over was no attempt.
  expect(await statesOf('b')).toEqual({ state: 'pending', attempts: 0 });
  expect((await take(10)).map(([id]) => id)).toEqual(['b', 'c']);
});

test('one tenant gets so many calls at a time, whatever their hosts; those of others, and of nobody, come first', async () => {
  const submitted = async (id: string, tenant: string | undefined) => {
    const webhookUrl = `https://${id}.example.com/`;
    await producer.submit(sampleRequest({ tenant }), { id, priority: 5, webhookUrl });
    await producer.cancel(id);
  };
  for (const id of ['a', 'b', 'c']) await submitted(id, 'acme');
  await submitted('d', 'beta');
  for (const id of ['e', 'f', 'g']) await submitted(id, undefined);
  const take = async (limit: number, ...underWay: [string, number][]) =>
    (await outbox.take(limit, 60_000, { hosts: ANY, tenants: { most: 2, underWay: new Map(underWay) } })).map(
      ({ jobId, tenant }) => [jobId, tenant],
    );
  expect(await take(1, ['acme', 2])).toEqual([['d', 'beta']]);
  for (const id of ['a', 'b', 'c']) await makeDue(id);
  expect((await take(10)).map(([id]) => id)).toEqual(['a', 'b', 'e', 'f', 'g']);
  await makeDue('c');
  expect(await take(10)).toEqual([['c', 'acme']]);
});

test('a tenant whose calls wait by the thousand submits no more; others do, and itself when they are told', async () => {
  const { own } = modelKeys(prefix, 'minnow');
  const hooked = { priority: 5, webhookUrl: url };
  await producer.submit(sampleRequest({ tenant: 'acme' }), { id: 'a', ...hooked });
  await producer.cancel('a');
  const late = Date.now() + 60_000;
  const others = Array.from({ length: MAX_TENANT_WEBHOOKS - 1 }, (_, at) => [late, `x${at}`]).flat();
  await redis.zadd(`${own}webhooks:acme`, ...others);
  const submitting = producer.submit(sampleRequest({ tenant: 'acme' }), { id: 'b', ...hooked });
  await expect(submitting).rejects.toMatchObject({ code: 'queue_full' });
  await producer.submit(sampleRequest({ tenant: 'beta' }), { id: 'c', ...hooked });
  await producer.submit(sampleRequest({ tenant: 'acme' }), { id: 'd', priority: 5 });

  const [call] = await outbox.take(1, 60_000);
  if (call === undefined) throw new Error('a call');
  expect(call).toMatchObject({ jobId: 'a', tenant: 'acme' });
  await outbox.settle(call, { state: 'delivered' });
  await producer.submit(sampleRequest({ tenant: 'acme' }), { id: 'b', ...hooked });
  await producer.cancel('b');
  // What is taken back, and what is kept no longer, waits no more either.
  await producer.withdraw('b', 'acme');
  expect(await redis.zcard(`${own}webhooks:acme`)).toBe(MAX_TENANT_WEBHOOKS - 1);
  await redis.zadd(`${own}webhooks:acme`, 1, 'x0');
  await producer.submit(sampleRequest({ tenant: 'acme' }), { id: 'e', ...hooked });
  expect(await redis.zcard(`${own}webhooks:acme`)).toBe(MAX_TENANT_WEBHOOKS - 2);
});

test('how a call went is known for as long as its job, also of one that a stranger cancelled', async () => {
  const month = 30 * 86_400;
  const keeper = openProducer({ redisUrl, prefix, model: 'minnow', resultTtlS: month });
  for (const id of ['a', 'b']) await keeper.submit(sampleRequest(), { id, priority: 5, webhookUrl: url });
  await producer.cancel('a');
  work((job) => void job.complete(sampleResult(1)), { resultTtlS: month });
  await eventually('the other to end', async () => (await producer.view('b'))?.status === 'completed');
  const { own } = modelKeys(prefix, 'minnow');
  for (const id of ['a', 'b']) expect(await redis.pttl(`${own}webhook:${id}`)).toBeGreaterThan(month * 1000);
  await keeper.close();
});

test('a call that failed waits, and is given up for good when told so', async () => {
  await submit('a');
  await producer.cancel('a');
  const [first] = await outbox.take(10, 60_000);
  if (first === undefined) throw new Error('a call');
  await outbox.settle(first, { state: 'pending', reason: 'HTTP 500', delayMs: 60_000 });
  expect(await outbox.take(10, 60_000)).toEqual([]);
  expect(await statesOf('a')).toEqual({ state: 'pending', attempts: 1, lastError: 'HTTP 500' });
  await makeDue('a');
  const [second] = await outbox.take(10, 60_000);
  if (second === undefined) throw new Error('another call');
  await outbox.settle(second, { state: 'failed', reason: 'HTTP 410' });
  expect(await statesOf('a')).toEqual({ state: 'failed', attempts: 2, lastError: 'HTTP 410' });
  expect(await redis.pttl(`${modelKeys(prefix, 'minnow').own}webhook:a`)).toBeGreaterThan(0);
});

test.each([
  ['no URL', 'example.com'],
  ['another scheme', 'ftp://example.com/'],
  ['a password in it', 'https://me:secret@example.com/'],
  ['too long', `https://example.com/${'x'.repeat(2048)}`],
])('%s is refused', async (_, webhookUrl) => {
  const submitted = producer.submit(sampleRequest(), { id: 'a', priority: 5, webhookUrl });
  await expect(submitted).rejects.toMatchObject({ code: 'invalid_request_error', param: 'webhookUrl' });
});
