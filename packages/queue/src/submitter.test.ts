import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, inject, it } from 'vitest';
import { connector } from './connection.ts';
import { modelKeys } from './keys.ts';
import type { Producer } from './producer.ts';
import type { ProducerOptions } from './queue-producer.ts';
import { producerRig } from './testing/producer-rig.ts';
import { sampleRequest } from './testing/requests.ts';
import { openTcpProxy } from './testing/tcp-proxy.ts';
import { eventually, soon } from './testing/waiting.ts';

const redisUrl = inject('redisUrl');

describe('requests that come together', () => {
  const rig = producerRig(redisUrl, 'minnow');
  const { open } = rig;
  const submitAll = (producer: Producer, ids: readonly string[]): Promise<unknown>[] =>
    ids.map((id) => producer.submit(sampleRequest(), { id, priority: 5 }));
  const named = (count: number): string[] => Array.from({ length: count }, (_, n) => `job-${n}`);

  /** A connected producer; how many scripts it has sent, and how many were under way at once. */
  const counted = async (
    options: Partial<ProducerOptions>,
    delayMs = 0,
  ): Promise<{ producer: Producer; scripts: () => number; atOnce: () => number }> => {
    let scripts = 0;
    let underWay = 0;
    let atOnce = 0;
    const connect: ProducerOptions['connect'] = (role, name) => {
      const connection = connector(redisUrl)(role, name);
      const evalsha = connection.evalsha.bind(connection) as (...args: unknown[]) => Promise<unknown>;
      connection.evalsha = (async (...args: unknown[]) => {
        scripts += 1;
        underWay += 1;
        atOnce = Math.max(atOnce, underWay);
        if (delayMs > 0) await sleep(delayMs);
        return await evalsha(...args).finally(() => (underWay -= 1));
      }) as typeof connection.evalsha;
      return connection;
    };
    const producer = open({ connect, ...options });
    await producer.depth();
    return { producer, scripts: () => scripts, atOnce: () => atOnce };
  };

  it('go to Redis in scripts of eight, in their order, and each is answered for itself', async () => {
    const { producer, scripts } = await counted({ maxQueueSize: 30 });
    const outcomes = await Promise.allSettled(submitAll(producer, named(40)));
    expect(scripts()).toBe(5);
    expect(outcomes.map(({ status }) => status)).toEqual([
      ...Array(30).fill('fulfilled'),
      ...Array(10).fill('rejected'),
    ]);
    const waiting = await rig.redis.zrange(`${modelKeys(rig.prefix, 'minnow').bull}prioritized`, 0, -1);
    expect(waiting).toEqual(named(30));
  });

  it('wait here and not in Redis, of which a distant one is kept busy nevertheless', async () => {
    const near = await counted({});
    // However busy this machine is, one of these is quick.
    for (const id of named(50)) await near.producer.submit(sampleRequest(), { id, priority: 5 });
    await Promise.all(submitAll(near.producer, named(450).slice(50)));
    expect(near.atOnce()).toBeLessThanOrEqual(16);
    const far = await counted({ prefix: `${rig.prefix}-far` }, 20);
    await Promise.all(submitAll(far.producer, named(1)));
    await Promise.all(submitAll(far.producer, named(401).slice(1)));
    expect(far.atOnce()).toBeGreaterThanOrEqual(40);
    expect(far.atOnce()).toBeLessThanOrEqual(64);
  });

  it('do not fail with one that fails', async () => {
    const producer = open();
    // Not the string that a sharing key leads to.
    await rig.redis.lpush(`${modelKeys(rig.prefix, 'minnow').own}shared:key`, 'foreign');
    const [first, bad, last] = await Promise.allSettled([
      producer.submit(sampleRequest(), { id: 'a', priority: 5 }),
      producer.submit(sampleRequest(), { id: 'b', priority: 5, sharingKey: 'key' }),
      producer.submit(sampleRequest(), { id: 'c', priority: 5 }),
    ]);
    expect([first.status, last.status]).toEqual(['fulfilled', 'fulfilled']);
    expect(bad).toMatchObject({ reason: { code: 'unavailable', message: expect.stringContaining('WRONGTYPE') } });
    expect(await producer.depth()).toEqual({ waiting: 2, running: 0 });
  });

  it('can be cancelled while they still wait for their turn', async () => {
    const producer = open();
    const ids = named(100);
    const submitted = submitAll(producer, ids);
    expect(await producer.cancel('job-99')).toBe('cancelled');
    await Promise.all(submitted);
    expect(await producer.depth()).toEqual({ waiting: 99, running: 0 });
  });

  it('are all told in time when Redis falls silent, whoever waits for a turn too', async () => {
    const proxy = await openTcpProxy(redisUrl);
    const producer = open({ redisUrl: proxy.url });
    await eventually('the connection is made', () =>
      producer.depth().then(
        () => true,
        () => false,
      ),
    );
    proxy.vanish();
    const outcomes = await soon('the refusals', Promise.allSettled(submitAll(producer, named(200))), 2_500);
    for (const outcome of outcomes) expect(outcome).toMatchObject({ reason: { code: 'unavailable' } });
    await producer.close();
    await proxy.close();
  });

  it('are refused at once when too many wait for their turn, or too much of them', async () => {
    const { producer, scripts } = await counted({ maxQueueSize: 100 });
    const refusedAtOnce = async (submissions: readonly Promise<unknown>[]): Promise<number> => {
      let refused = 0;
      for (const one of submissions) one.catch(() => (refused += 1));
      await Promise.resolve();
      await Promise.resolve();
      expect(scripts()).toBe(0);
      return refused;
    };
    const many = submitAll(producer, named(20_100));
    expect(await refusedAtOnce(many)).toBe(100);
    await Promise.allSettled(many);

    const large = await counted({ maxQueueSize: 100 });
    const prompt = 'x'.repeat(30_000_000);
    const three = ['large-a', 'large-b', 'large-c'].map((id) =>
      large.producer.submit(sampleRequest({ prompt }), { id, priority: 5, checked: true }),
    );
    await expect(three[2]).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('wait for Redis'),
    });
    await Promise.allSettled(three);
  });

  it('may be twice the same', async () => {
    const producer = open();
    const twice = [1, 2].map(() => producer.submit(sampleRequest(), { id: 'a', priority: 5 }));
    expect(await Promise.all(twice)).toEqual([{}, { again: true }]);
    const shared = ['b', 'c'].map((id) => producer.submit(sampleRequest(), { id, priority: 5, sharingKey: 'key' }));
    await Promise.all(shared);
    expect(await producer.depth()).toEqual({ waiting: 2, running: 0 });
  });

  it('are refused for their own reasons where no replica confirms the others', async () => {
    const producer = open({ durability: 'replicated', maxQueueSize: 1 });
    const [taken, refused] = await Promise.allSettled(submitAll(producer, ['a', 'b']));
    expect(taken).toMatchObject({ reason: { code: 'unavailable', message: expect.stringContaining('replica') } });
    expect(refused).toMatchObject({ reason: { code: 'queue_full' } });
  });
});
