import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RequestEvent } from '@shoal/protocol';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, inject, it, vi } from 'vitest';
import { openCollectorConsumer } from './collector-consumer.ts';
import { type Connect, connector } from './connection.ts';
import type { ClaimedJob, Consumer } from './consumer.ts';
import { type ModelKeys, modelKeys } from './keys.ts';
import { type ModelQueue, openQueue } from './open-queue.ts';
import type { RedisClient } from './redis-address.ts';
import { Gate } from './testing/gate.ts';
import { hearing } from './testing/hearing.ts';
import { sampleRequest, sampleResult, sampleTokens } from './testing/requests.ts';
import { openFakeSentinel } from './testing/sentinel.ts';
import { openTcpProxy } from './testing/tcp-proxy.ts';
import { all, eventually, soon } from './testing/waiting.ts';

const redisUrl = inject('redisUrl');

describe.each(['channel', 'stream'] as const)('replies on a %s', (replyOn) => {
  /** For what takes seconds and is the same however replies come. */
  const once = it.runIf(replyOn === 'channel');
  let prefix: string;
  let keys: ModelKeys;
  let redis: Redis;
  let queue: ModelQueue;
  let other: ModelQueue;
  let consumer: Consumer;
  let jobs: Map<string, ClaimedJob>;

  beforeEach(async () => {
    prefix = `test-${randomUUID()}`;
    keys = modelKeys(prefix, 'minnow');
    redis = new Redis(redisUrl);
    queue = openQueue({ redisUrl, prefix, model: 'minnow', replyOn });
    other = openQueue({ redisUrl, prefix, model: 'minnow', replyOn });
    await Promise.all([queue.ready(), other.ready()]);
    jobs = new Map();
    consumer = openCollectorConsumer({ redisUrl, prefix, model: 'minnow', capacity: 8 });
    consumer.start((job) => jobs.set(job.id, job));
  });
  afterEach(async () => {
    await consumer.close({ timeoutMs: 0 });
    await Promise.all([queue.close(), other.close()]);
    redis.disconnect();
  });

  async function submitted(id: string): Promise<ClaimedJob> {
    await queue.producer.submit(sampleRequest({ replyTo: queue.replies.replyTo }), { id, priority: 5 });
    await eventually(`the claim of ${id}`, () => jobs.has(id));
    const job = jobs.get(id);
    if (job === undefined) throw new Error('not claimed');
    return job;
  }

  async function append(job: ClaimedJob, from: number, to: number): Promise<void> {
    for (let position = from; position < to; position += 1) job.append(sampleTokens(position));
    await eventually('the log', async () => (await redis.lindex(keys.log(job.id), -1)) === `${to}`);
  }

  const tokens = (events: RequestEvent[]): number[] =>
    events.flatMap((event) => (event.type === 'tokens' ? event.tokenIds : []));

  it('reads a log of many entries from any position', async () => {
    const job = await submitted('long');
    const positions = Array.from({ length: 300 }, (_, position) => position);
    const entries = positions.flatMap((position) => [JSON.stringify(sampleTokens(position)), `${position + 1}`]);
    await redis.rpush(keys.log('long'), ...entries);
    await job.complete(sampleResult(300));
    for (const position of [0, 1, 43, 44, 45, 171, 172, 173, 299, 300]) {
      const read = tokens(await all('the rest', other.replies.attach('long', { position })));
      expect(read).toEqual(positions.slice(position));
    }
  });

  it('lets another process join in the middle: both read the same tokens', async () => {
    const first = all('the first reader', queue.replies.listen('a'));
    const job = await submitted('a');
    await append(job, 0, 5);
    const second = all('the second reader', other.replies.attach('a'));
    await eventually('the reader is in the set', async () => (await redis.scard(keys.readers('a'))) === 1);
    await append(job, 5, 9);
    await job.complete(sampleResult(9));
    expect(tokens(await first)).toEqual(sampleResult(9).tokenIds);
    expect(tokens(await second)).toEqual(sampleResult(9).tokenIds);
    expect((await second).at(-1)).toEqual((await first).at(-1));
    expect(await redis.exists(keys.readers('a'))).toBe(0);
  });

  it('resumes from a position, also after the end', async () => {
    const job = await submitted('a');
    await append(job, 0, 4);
    await append(job, 4, 6);
    await job.complete(sampleResult(6));
    expect(tokens(await all('all', other.replies.attach('a')))).toEqual([0, 1, 2, 3, 4, 5]);
    const tail = await all('the tail', other.replies.attach('a', { position: 4 }));
    expect(tokens(tail)).toEqual([4, 5]);
    expect(tail.at(-1)?.type).toBe('completed');
  });

  it('rejects for a request that is not there', async () => {
    await expect(all('nothing', queue.replies.attach('nobody'))).rejects.toMatchObject({ code: 'job_not_found' });
  });

  it('refuses more readers than a request can have', async () => {
    await submitted('a');
    await redis.sadd(keys.readers('a'), ...Array.from({ length: 16 }, (_, n) => `reader-${n}`));
    await expect(all('nothing', other.replies.attach('a'))).rejects.toMatchObject({ code: 'rate_limit_exceeded' });
  });

  once('finds an end that nobody announced', async () => {
    const events = all('the events', queue.replies.listen('a'), 15_000);
    const job = await submitted('a');
    await append(job, 0, 2);
    // As if the worker had died between finishing the job and telling of it.
    await redis.hset(`${keys.bull}a`, { returnvalue: JSON.stringify(sampleResult(2)), finishedOn: Date.now() });
    await redis.zadd(`${keys.bull}completed`, Date.now(), 'a');
    expect((await events).at(-1)).toEqual({ type: 'completed', result: sampleResult(2) });
  });

  once('tells its reader when a request is gone from the queue', async () => {
    const events = all('the events', queue.replies.listen('a'), 20_000);
    await submitted('a');
    await redis.del(`${keys.bull}a`, `${keys.bull}a:lock`);
    await redis.lrem(`${keys.bull}active`, 0, 'a');
    await expect(events).rejects.toMatchObject({ code: 'job_not_found' });
  });

  it('stops listening when the reader leaves, and nothing else', async () => {
    const controller = new AbortController();
    const left = all('the events', queue.replies.listen('a', controller.signal));
    const job = await submitted('a');
    controller.abort();
    expect(await left).toEqual([]);
    await append(job, 0, 1);
    expect(job.signal.aborted).toBe(false);
  });

  it('goes on after Redis was away, without a gap', async () => {
    const proxy = await openTcpProxy(redisUrl);
    const far = openQueue({ redisUrl: proxy.url, prefix, model: 'minnow', replyOn });
    await far.ready();
    const job = await submitted('a');
    const events = all('the events', far.replies.attach('a'), 20_000);
    await append(job, 0, 3);
    await proxy.down();
    await append(job, 3, 6);
    await proxy.up();
    await append(job, 6, 8);
    await job.complete(sampleResult(8));
    expect(tokens(await events)).toEqual(sampleResult(8).tokenIds);
    await far.close();
    await proxy.close();
  });

  it('reads what it missed once it hears again: it waits for no look-up, and joins no job of its own', async () => {
    const proxy = await openTcpProxy(redisUrl);
    const connect: Connect = (role, name) => connector(role === 'commands-now' ? redisUrl : proxy.url)(role, name);
    // Nobody looks by himself.
    vi.useFakeTimers({ toFake: ['setInterval'] });
    const far = openQueue({ redisUrl, prefix, model: 'minnow', replyOn, connect });
    vi.useRealTimers();
    await far.ready();
    const heard: RequestEvent[] = [];
    const ended = (async () => {
      for await (const event of far.replies.listen('missed')) heard.push(event);
    })();
    await far.producer.submit(sampleRequest({ replyTo: far.replies.replyTo }), { id: 'missed', priority: 5 });
    await eventually('the claim', () => jobs.has('missed'));
    const job = jobs.get('missed') as ClaimedJob;
    await append(job, 0, 2);
    await proxy.down();
    await append(job, 2, 4);
    await proxy.up();
    await eventually('it has read them', () => tokens(heard).length === 4);
    expect(await redis.exists(keys.readers('missed'))).toBe(0);
    await proxy.down();
    await job.complete(sampleResult(4));
    await proxy.up();
    await soon('the end', ended);
    expect(tokens(heard)).toEqual([0, 1, 2, 3]);
    await far.close();
    await proxy.close();
  });

  it('makes its connection anew when look-ups find what nobody told', async () => {
    let hearing: RedisClient | undefined;
    let connected = 0;
    const connect: Connect = (role, name) => {
      const connection = connector(redisUrl)(role, name);
      if (role !== 'commands-now') hearing = connection.on('ready', () => (connected += 1));
      return connection;
    };
    const deaf = openQueue({ redisUrl, prefix, model: 'minnow', replyOn, connect });
    await deaf.ready();
    await eventually('it listens', () => connected === 1);
    const reader = keys.replies(deaf.replies.replyTo);
    const job = await submitted('a');
    const events = all('the events', deaf.replies.attach('a'), 20_000);
    if (replyOn === 'channel') await hearing?.unsubscribe(reader);
    else await redis.set(reader, 'no stream', 'EX', 5);
    let position = 0;
    const write = setInterval(() => job.append(sampleTokens(position++)), 200);
    await eventually('it is made anew', () => connected === 2, 12_000);
    clearInterval(write);
    await job.complete(sampleResult(position));
    expect(tokens(await events)).toEqual(sampleResult(position).tokenIds);
    await deaf.close();
  });

  once(
    'leaves a connection alone on which more was told than a reader took',
    async () => {
      let connected = 0;
      const connect: Connect = (role, name) => {
        const connection = connector(redisUrl)(role, name);
        return role === 'commands-now' ? connection : connection.on('ready', () => (connected += 1));
      };
      const patient = openQueue({ redisUrl, prefix, model: 'minnow', replyOn, connect });
      await patient.ready();
      const job = await submitted('a');
      const stalled = patient.replies.attach('a')[Symbol.asyncIterator]();
      const first = stalled.next();
      await append(job, 0, 1);
      await first;
      // One at a time, so that each is told by itself.
      for (let position = 1; position < 300; position += 1) await append(job, position, position + 1);
      await job.complete(sampleResult(300));
      // Two looks at what it has not taken, each after two to three seconds of silence.
      await sleep(8_000);
      expect(connected).toBe(1);
      await patient.close();
    },
    30_000,
  );

  it('leaves a generation that it was let join after its reader had left', async () => {
    const replies = new Gate();
    const late = openQueue({
      redisUrl,
      prefix,
      model: 'minnow',
      replyOn,
      connect: hearing(redisUrl, 'commands-now', 'evalsha', replies),
    });
    replies.open();
    await late.ready();
    await late.producer.submit(sampleRequest(), { id: 'mine', priority: 5, sharingKey: 'one' });
    await eventually('the claim', () => jobs.size === 1);
    const [jobId = ''] = jobs.keys();
    replies.shut();
    const reader = late.replies.attach('mine');
    const next = reader[Symbol.asyncIterator]().next();
    await eventually('it has joined', async () => (await redis.exists(keys.readers(jobId))) === 1);
    reader.close();
    replies.open();
    await next;
    await eventually('it has left', async () => (await redis.exists(keys.readers(jobId))) === 0);
    await late.close();
  });

  once('takes its own standstill for none of Redis', async () => {
    const frozen = openQueue({ redisUrl, prefix, model: 'minnow', replyOn, giveUpMs: 2_500 });
    await frozen.ready();
    const job = await submitted('a');
    const events = all('the events', frozen.replies.attach('a'), 15_000);
    await eventually('it has joined', async () => (await redis.scard(keys.readers('a'))) === 1);
    await append(job, 0, 1);
    await sleep(300);
    const until = performance.now() + 4_000;
    while (performance.now() < until);
    await sleep(1_500);
    await job.complete(sampleResult(1));
    expect((await events).at(-1)?.type).toBe('completed');
    await frozen.close();
  });

  once('joins no job of its own that is silent: its worker would take it for a reader of tokens', async () => {
    const events = all('the events', queue.replies.listen('silent'));
    const job = await submitted('silent');
    // It is looked up after two seconds of silence, with the next look of every second.
    await sleep(3_500);
    expect(await redis.exists(`${keys.own}readers:silent`)).toBe(0);
    await job.complete(sampleResult(0));
    expect((await events).at(-1)?.type).toBe('completed');
  });

  once('takes no change of the clock for a long silence', async () => {
    const events = all('the events', queue.replies.listen('a'));
    const job = await submitted('a');
    const { now } = Date;
    const clock = vi.spyOn(Date, 'now').mockImplementation(() => now() + 3_600_000);
    // Long enough for a look at who was silent.
    await sleep(1_500);
    clock.mockRestore();
    await job.complete(sampleResult(0));
    expect((await events).at(-1)?.type).toBe('completed');
  });

  it('reads on after master and Sentinel were away for long', async () => {
    const proxy = await openTcpProxy(redisUrl);
    const sentinel = await openFakeSentinel(proxy.url);
    let hearing: RedisClient | undefined;
    let ended = false;
    const connect: Connect = (role, name) => {
      const connection = connector(sentinel.url)(role, name);
      if (role !== 'commands-now') hearing = connection.on('end', () => (ended = true));
      return connection;
    };
    const far = openQueue({ redisUrl: sentinel.url, prefix, model: 'minnow', replyOn, connect });
    await far.ready();
    const job = await submitted('a');
    const events = all('the events', far.replies.attach('a'), 30_000);
    await eventually('the reader is in the set', async () => (await redis.scard(keys.readers('a'))) === 1);
    sentinel.silent = true;
    await proxy.down();
    // A blocking read is given up meanwhile, and the Sentinel's answer after that.
    await sleep(11_000);
    expect(ended).toBe(false);
    sentinel.silent = false;
    await proxy.up();
    await eventually('it is ready', () => hearing?.status === 'ready');
    await append(job, 0, 2);
    await job.complete(sampleResult(2));
    expect(tokens(await events)).toEqual([0, 1]);
    await far.close();
    await Promise.all([proxy.close(), sentinel.close()]);
  });

  it('tells its readers when Redis stays away', async () => {
    const proxy = await openTcpProxy(redisUrl);
    const far = openQueue({ redisUrl: proxy.url, prefix, model: 'minnow', replyOn, giveUpMs: 2_500 });
    await far.ready();
    const events = all('the events', far.replies.listen('a'));
    // A request that is silent is none without Redis.
    let given = false;
    events.catch(() => (given = true));
    await sleep(4_000);
    expect(given).toBe(false);
    await proxy.down();
    await expect(events).rejects.toMatchObject({ code: 'unavailable' });
    await expect(soon('the refusal', far.producer.depth(), 2_500)).rejects.toMatchObject({ code: 'unavailable' });
    await far.close();
    await proxy.close();
  });
});
