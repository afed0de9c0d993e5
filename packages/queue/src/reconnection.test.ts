import { type AddressInfo, createServer, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, inject, it, vi } from 'vitest';
import { type ConnectionRole, connector, promptly } from './connection.ts';
import { dropConnection, dropWhenSilent } from './reconnection.ts';
import type { RedisClient } from './redis-address.ts';
import { type FakeSentinel, openFakeSentinel } from './testing/sentinel.ts';
import { openTcpProxy, type TcpProxy } from './testing/tcp-proxy.ts';
import { eventually, soon } from './testing/waiting.ts';

const redisUrl = inject('redisUrl');

describe('a connection', () => {
  let proxy: TcpProxy;
  let opened: RedisClient[];
  beforeEach(async () => {
    proxy = await openTcpProxy(redisUrl);
    opened = [];
  });
  afterEach(async () => {
    for (const redis of opened) redis.disconnect();
    await proxy.close();
  });

  async function open(role: ConnectionRole, url: string = proxy.url): Promise<RedisClient> {
    const redis = connector(url)(role);
    opened.push(redis);
    await eventually(`${role} is ready`, () => redis.status === 'ready');
    return redis;
  }

  describe('to a host that vanished', () => {
    it('is made anew when an answer is owed for too long, by role', async () => {
      const [worker, producer] = [await open('commands'), await open('commands-now')];
      proxy.vanish();
      const startedAt = performance.now();
      // Sent once: nobody asks again for what a worker writes.
      const answered = soon('the answer to the worker', worker.ping(), 20_000).then(() => performance.now());
      const works = (): Promise<boolean> =>
        promptly(producer, (redis) => redis.ping()).then(
          () => true,
          () => false,
        );
      await eventually('the producer is answered', works, 8_000);
      // A standstill of Redis for several seconds is none of a host.
      expect((await answered) - startedAt).toBeGreaterThan(9_000);
    });

    it('is made anew on its way to be ready', async () => {
      const mute = createServer((socket) => socket.on('error', () => {}).resume());
      await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
      const redis = new Redis((mute.address() as AddressInfo).port, '127.0.0.1');
      opened.push(redis);
      dropWhenSilent(redis, 400);
      let connects = 0;
      redis.on('connect', () => {
        connects += 1;
      });
      await eventually('another try', () => connects === 2, 5_000);
      redis.disconnect();
      mute.close();
    });

    it('is asked for by the kernel where nothing is sent', async () => {
      const setKeepAlive = vi.spyOn(Socket.prototype, 'setKeepAlive');
      await open('subscriber');
      expect(setKeepAlive).toHaveBeenCalledWith(true, 10_000);
      setKeepAlive.mockRestore();
    });
  });

  it('is left alone while it owes nothing, or answers at all', async () => {
    const redis = new Redis(proxy.url);
    opened.push(redis);
    dropWhenSilent(redis, 1_000);
    await redis.ping();
    const { stream } = redis;
    await sleep(2_000);
    await Promise.all([1, 2, 3, 4, 5].map((n) => redis.blpop(`nobody-pushes-${n}`, 0.5)));
    expect(redis.stream).toBe(stream);
    expect(stream.destroyed).toBe(false);
  });

  describe('behind a Sentinel that does not answer', () => {
    let sentinel: FakeSentinel;
    beforeEach(async () => {
      sentinel = await openFakeSentinel(proxy.url);
    });
    afterEach(() => sentinel.close());

    async function lost(): Promise<{ redis: Redis; ends: () => number }> {
      const redis = await open('blocking', sentinel.url);
      if (!(redis instanceof Redis)) throw new Error('not one Redis');
      let ends = 0;
      redis.on('end', () => {
        ends += 1;
      });
      sentinel.silent = true;
      await proxy.down();
      await eventually('it asks the Sentinel', () => redis.status === 'connecting');
      return { redis, ends: () => ends };
    }

    async function found(redis: Redis): Promise<void> {
      sentinel.silent = false;
      await proxy.up();
      await eventually('it is ready', () => redis.status === 'ready', 6_000);
    }

    it('goes on asking when it is to be dropped meanwhile', async () => {
      const { redis, ends } = await lost();
      dropConnection(redis);
      // Longer than one question may take.
      await sleep(2_500);
      await found(redis);
      expect(ends()).toBe(0);
    });

    it('comes back although it was told to begin again meanwhile, which ends it', async () => {
      const { redis, ends } = await lost();
      redis.disconnect(true);
      await eventually('its end', () => ends() === 1);
      await found(redis);
    });

    it('stays closed when it is closed meanwhile', async () => {
      const { redis, ends } = await lost();
      redis.disconnect();
      await eventually('its end', () => ends() === 1);
      sentinel.silent = false;
      await proxy.up();
      await sleep(1_500);
      expect(redis.status).toBe('end');
    });
  });
});
