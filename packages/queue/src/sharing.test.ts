import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { openConsumer } from './bulk-consumer.ts';
import type { ClaimedJob, Consumer } from './consumer.ts';
import type { ConsumerOptions } from './consumer-options.ts';
import { type ModelKeys, modelKeys } from './keys.ts';
import { SUSPECT_SCORE } from './lua/suspects.ts';
import { type ModelQueue, openQueue } from './open-queue.ts';
import { sharingKey } from './sharing-key.ts';
import { sampleRequest, sampleResult, sampleTokens } from './testing/requests.ts';
import { all, connected, eventually } from './testing/waiting.ts';

const redisUrl = inject('redisUrl');

describe('requests that share a generation', () => {
  let prefix: string;
  let keys: ModelKeys;
  let redis: Redis;
  let queue: ModelQueue;
  let consumers: Consumer[];
  const key = sharingKey(sampleRequest(), 'r1') ?? '';

  beforeEach(async () => {
    prefix = `test-${randomUUID()}`;
    keys = modelKeys(prefix, 'minnow');
    redis = new Redis(redisUrl);
    queue = openQueue({ redisUrl, prefix, model: 'minnow' });
    consumers = [];
    await connected(queue);
  });
  afterEach(async () => {
    await Promise.all(consumers.map((consumer) => consumer.close({ timeoutMs: 0 })));
    await queue.close();
    redis.disconnect();
  });

  function start(options: Partial<ConsumerOptions> = {}): ClaimedJob[] {
    const jobs: ClaimedJob[] = [];
    const consumer = openConsumer({ redisUrl, prefix, model: 'minnow', capacity: 8, ...options });
    consumers.push(consumer);
    consumer.start((job) => {
      jobs.push(job);
      job.signal.addEventListener('abort', () => void job.complete(sampleResult(0, { finishReason: 'abort' })));
    });
    return jobs;
  }

  const submit = (id: string, { priority = 5, deadline = 0 } = {}): Promise<unknown> =>
    queue.producer.submit(sampleRequest(deadline === 0 ? {} : { deadline }), { id, priority, sharingKey: key });
  const status = async (id: string): Promise<string | undefined> => (await queue.producer.view(id))?.status;

  it('generate once for a hundred at a time, and all read the same', async () => {
    const jobs = start();
    const ids = Array.from({ length: 100 }, (_, n) => `request-${n}`);
    await Promise.all(ids.map((id) => submit(id)));
    const events = ids.map((id) => all(`the events of ${id}`, queue.replies.attach(id)));
    await eventually('the claim', () => jobs.length === 1);
    for (let position = 0; position < 5; position += 1) jobs[0]?.append(sampleTokens(position));
    await jobs[0]?.complete(sampleResult(5));
    for (const seen of await Promise.all(events)) {
      expect(seen.flatMap((event) => (event.type === 'tokens' ? event.tokenIds : []))).toEqual([0, 1, 2, 3, 4]);
      expect(seen.at(-1)).toEqual({ type: 'completed', result: sampleResult(5) });
    }
    expect(jobs).toHaveLength(1);
    expect(await status('request-0')).toBe('completed');
    expect(await queue.producer.depth()).toEqual({ waiting: 0, running: 0 });
  });

  it('are answered from the result that an earlier one left', async () => {
    const jobs = start();
    await submit('first');
    await eventually('the claim', () => jobs.length === 1);
    jobs[0]?.append(sampleTokens(0));
    await jobs[0]?.complete(sampleResult(1));
    await submit('second');
    const seen = await all('the events', queue.replies.attach('second'));
    expect(seen.map(({ type }) => type)).toEqual(['tokens', 'completed']);
    expect(jobs).toHaveLength(1);
  });

  it('do not share a failure', async () => {
    const jobs = start();
    await submit('first');
    await eventually('the claim', () => jobs.length === 1);
    await jobs[0]?.fail({ code: 'inference_error', message: 'out of luck' });
    await submit('second');
    await eventually('a second generation', () => jobs.length === 2);
    expect(await status('first')).toBe('failed');
    expect(await status('second')).toBe('running');
  });

  it('are cancelled alone; the job stops with the last', async () => {
    const jobs = start();
    await submit('a');
    await submit('b');
    await eventually('the claim', () => jobs.length === 1);
    expect(await queue.producer.cancel('a')).toBe('cancelled');
    expect(await status('a')).toBe('cancelled');
    expect(await queue.producer.cancel('a')).toBe('finished');
    expect(await all('what a hears', queue.replies.attach('a'))).toMatchObject([{ error: { code: 'cancelled' } }]);
    expect(jobs[0]?.signal.aborted).toBe(false);
    expect(await status('b')).toBe('running');
    expect(await queue.producer.cancel('b')).toBe('stopping');
    await eventually('the abort', () => jobs[0]?.signal.aborted === true);
    await submit('c');
    await eventually('another generation', () => jobs.length === 2);
  });

  it('join no job that is being stopped', async () => {
    await submit('first');
    const job = await redis.get(`${keys.own}alias:first`);
    // As when the job itself is cancelled by its id, and its worker has yet to stop.
    await redis.hset(`${keys.bull}${job}`, 'shoal:cancel', 1);
    await submit('second');
    expect(await redis.get(`${keys.own}alias:second`)).not.toBe(job);
    expect(await queue.producer.depth()).toEqual({ waiting: 2, running: 0 });
  });

  it('take the best priority among them', async () => {
    await submit('lazy', { priority: 8 });
    await queue.producer.submit(sampleRequest({ prompt: 'something else' }), { id: 'other', priority: 5 });
    await submit('urgent', { priority: 1 });
    const jobs = start({ capacity: 1 });
    await eventually('the first claim', () => jobs.length === 1);
    expect(jobs[0]?.id).not.toBe('other');
    expect(jobs[0]?.priority).toBe(1);
  });

  it('leave a suspect among the suspects, however urgently they want it', async () => {
    await submit('lazy', { priority: 8 });
    const job = (await redis.get(`${keys.own}alias:lazy`)) ?? '';
    await redis.hset(`${keys.bull}${job}`, 'shoal:suspect', 1);
    await redis.zadd(`${keys.bull}prioritized`, SUSPECT_SCORE, job);
    await submit('urgent', { priority: 1 });
    expect(Number(await redis.zscore(`${keys.bull}prioritized`, job))).toBe(SUSPECT_SCORE);
    expect(await redis.hget(`${keys.bull}${job}`, 'priority')).toBe('2');
  });

  it('are known for as long as they may wait, and their result is kept', async () => {
    const wait = 20 * 3_600_000;
    await submit('patient', { deadline: Date.now() + wait });
    await submit('hasty', { deadline: Date.now() + 60_000 });
    const job = await redis.get(`${keys.own}alias:patient`);
    for (const name of ['alias:patient', `records:${job}`, `shared:${key}`]) {
      expect(await redis.pttl(`${keys.own}${name}`), name).toBeGreaterThan(wait);
    }
  });

  it('expire alone; the job stops with the last', async () => {
    const jobs = start({ stalledIntervalMs: 100 });
    const deadlines = `${keys.own}deadlines`;
    const deadline = Date.now() + 600_000;
    await submit('short', { deadline });
    await submit('long', { deadline: deadline + 1 });
    await eventually('the claim', () => jobs.length === 1);
    expect(await redis.zrange(deadlines, 0, -1, 'WITHSCORES')).toEqual([
      ...['short', `${deadline}`],
      ...['long', `${deadline + 1}`],
    ]);
    // As if it had passed: one that does so by itself passes sooner than a busy machine looks, or makes everybody wait.
    await redis.zadd(deadlines, 'XX', 1, 'short');
    await eventually('the short one expires', async () => (await status('short')) === 'expired');
    expect(jobs[0]?.signal.aborted).toBe(false);
    expect(await status('long')).toBe('running');
    await redis.zadd(deadlines, 'XX', 1, 'long');
    await eventually('the long one expires', async () => (await status('long')) === 'expired');
    await eventually('the abort', () => jobs[0]?.signal.aborted === true);
    expect(await redis.zcard(deadlines)).toBe(0);
  });

  it('tell those who read for them that they ended by themselves, at once, and nobody else', async () => {
    const jobs = start({ stalledIntervalMs: 100 });
    const other = openQueue({ redisUrl, prefix, model: 'minnow' });
    await other.ready();
    const deadline = Date.now() + 600_000;
    await submit('cancelled');
    await submit('expired', { deadline });
    await submit('kept');
    await eventually('the claim', () => jobs.length === 1);
    const heard = ['cancelled', 'expired', 'kept'].map((id) => all(`the events of ${id}`, other.replies.attach(id)));
    await eventually('the readers', async () => (await redis.scard(`${keys.own}readers:${jobs[0]?.id}`)) === 1);
    // Every two tenths of a second a token: nothing is looked up, because nothing falls silent.
    const tokens = setInterval(() => jobs[0]?.append(sampleTokens(position++)), 200);
    let position = 0;
    expect(await queue.producer.cancel('cancelled')).toBe('cancelled');
    await redis.zadd(`${keys.own}deadlines`, 'XX', 1, 'expired');
    const ends = await Promise.all(heard.slice(0, 2));
    expect(ends.map((events) => events.at(-1))).toMatchObject([
      { type: 'failed', error: { code: 'cancelled' } },
      { type: 'failed', error: { code: 'deadline_exceeded' } },
    ]);
    clearInterval(tokens);
    expect(jobs[0]?.signal.aborted).toBe(false);
    await jobs[0]?.complete(sampleResult(position));
    expect((await heard[2])?.at(-1)).toMatchObject({ type: 'completed' });
    await other.close();
  });

  it('are added once, however often they are submitted', async () => {
    await Promise.all([1, 2, 3].map(() => submit('a')));
    expect(await queue.producer.depth()).toEqual({ waiting: 1, running: 0 });
  });
});

describe('sharing key', () => {
  const keyOf = (fields: Parameters<typeof sampleRequest>[0], revision = 'r1'): string | undefined =>
    sharingKey(sampleRequest(fields), revision);
  const { params } = sampleRequest();
  const chat = { prompt: undefined, messages: [{ role: 'user' as const, content: 'once upon a time' }] };

  it('is the same for what gives the same answer, and another for anything else', () => {
    const own = keyOf({});
    expect(keyOf({ deadline: 5, replyTo: 'x' })).toBe(own);
    expect(own).toMatch(/^[\w-]{43}$/);
    const others = [
      keyOf({ tenant: 'acme' }),
      keyOf({ prompt: 'twice upon a time' }),
      keyOf({ askedAt: 1 }),
      keyOf({ askedAt: 2 }),
      keyOf({ params: { ...params, seed: 8 } }),
      keyOf({ params: { ...params, maxTokens: 5 } }),
      keyOf({}, 'r2'),
      keyOf({ echo: true }),
      keyOf(chat),
      keyOf({ ...chat, chatTemplateKwargs: { enable_thinking: false } }),
      keyOf({ ...chat, chatTemplateKwargs: { enable_thinking: true } }),
      keyOf({ ...chat, askedAt: 1, chatTemplateKwargs: { enable_thinking: true } }),
    ];
    expect(new Set([own, ...others]).size).toBe(1 + others.length);
  });

  it('is missing where the answer is left to chance', () => {
    const { seed: _, ...unseeded } = params;
    expect(keyOf({ params: { ...unseeded, temperature: 1 } })).toBeUndefined();
    expect(keyOf({ params: { ...unseeded, temperature: 0 } })).toBeDefined();
  });
});
