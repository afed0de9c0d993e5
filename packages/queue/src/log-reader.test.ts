import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { connector } from './connection.ts';
import { Ear } from './ear.ts';
import { type ModelKeys, modelKeys } from './keys.ts';
import { LogReader } from './log-reader.ts';
import { sampleTokens } from './testing/requests.ts';
import { openTcpProxy, type TcpProxy } from './testing/tcp-proxy.ts';

const redisUrl = inject('redisUrl');

describe('a reader of logs', () => {
  let keys: ModelKeys;
  let redis: Redis;
  let proxy: TcpProxy;
  let commands: Redis;
  let logs: LogReader;
  beforeEach(async () => {
    keys = modelKeys(`test-${randomUUID()}`, 'minnow');
    redis = new Redis(redisUrl);
    proxy = await openTcpProxy(redisUrl);
    commands = connector(proxy.url)('commands-now') as Redis;
    logs = new LogReader({ commands, keys, replyTo: 'me', resultTtlS: 60 });
  });
  afterEach(async () => {
    commands.disconnect();
    redis.disconnect();
    await proxy.close();
  });

  const earOf = (id: string): Ear =>
    new Ear({ id, position: 0, fromLog: false, read: () => Promise.resolve({ events: [] }), onClose: () => {} });

  it('reads what is asked for together with few scripts, and gives each its own', async () => {
    const ids = Array.from({ length: 100 }, (_, n) => `job-${n}`);
    for (const [n, id] of ids.entries()) {
      await redis.hset(`${keys.bull}${id}`, 'timestamp', 1);
      await redis.rpush(keys.log(id), JSON.stringify({ ...sampleTokens(0), tokenIds: [n] }), '1');
    }
    await logs.read(earOf('job-0'), 'read');
    let scripts = 0;
    const send = commands.sendCommand.bind(commands);
    commands.sendCommand = (command, stream) => {
      if (command.name === 'evalsha') scripts += 1;
      return send(command, stream);
    };
    const replies = await Promise.all(ids.map((id) => logs.read(earOf(id), 'read')));
    expect(replies.map(({ entries }) => JSON.parse(entries[0] ?? '{}').tokenIds)).toEqual(ids.map((_, n) => [n]));
    // Two begin at once, the others wait for them.
    expect(scripts).toBeLessThanOrEqual(2 + Math.ceil(98 / 32));
  });

  it('reads for the producer of a job without joining it, and joins for others', async () => {
    await redis.hset(`${keys.bull}job`, 'timestamp', 1);
    expect(await logs.read(earOf('job'), 'read')).toMatchObject({ state: 'open', joined: false });
    expect(await redis.exists(keys.readers('job'))).toBe(0);
    expect(await logs.read(earOf('job'), 'log')).toMatchObject({ state: 'open', joined: true });
    expect(await redis.smembers(keys.readers('job'))).toEqual(['me']);
  });

  it('says of a job that cannot be read that it cannot, and reads the others', async () => {
    for (const id of ['before', 'bad', 'after']) await redis.hset(`${keys.bull}${id}`, 'timestamp', 1);
    await redis.set(keys.log('bad'), 'no list');
    const replies = await logs.readAll(['before', 'bad', 'after'].map(earOf), () => 'log');
    expect(replies.map(({ state }) => state)).toEqual(['open', 'error', 'open']);
    await redis.hset(`${keys.bull}odd`, { timestamp: 1, finishedOn: 2, failedReason: 'x' });
    await redis.rpush(keys.log('odd'), 'no entry');
    expect((await logs.readAll([earOf('odd'), earOf('after')], () => 'read'))[1]?.state).toBe('open');
  });

  it('joins nothing for a reader that left while it waited for its turn', async () => {
    const ears = ['first', 'second', 'third'].map(earOf);
    for (const { id } of ears) await redis.hset(`${keys.bull}${id}`, 'timestamp', 1);
    const reads = ears.map((ear) => logs.read(ear, 'log'));
    ears[2]?.close();
    const outcomes = await Promise.allSettled(reads);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
    expect(await Promise.all(ears.map(({ id }) => redis.exists(keys.readers(id))))).toEqual([1, 1, 0]);
  });

  it('refuses all that wait as soon as one is refused, so that nobody waits for the refusals of others', async () => {
    await logs.read(earOf('job'), 'read');
    await proxy.down();
    const startedAt = performance.now();
    const outcomes = await Promise.allSettled(Array.from({ length: 500 }, () => logs.read(earOf('job'), 'read')));
    expect(outcomes.every(({ status }) => status === 'rejected')).toBe(true);
    expect(performance.now() - startedAt).toBeLessThan(4_000);
  });
});
