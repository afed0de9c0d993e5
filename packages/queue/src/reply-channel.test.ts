import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { connector } from './connection.ts';
import { type ModelKeys, modelKeys } from './keys.ts';
import { ReplyChannel } from './reply-channel.ts';
import { openTcpProxy, type TcpProxy } from './testing/tcp-proxy.ts';
import { eventually, soon } from './testing/waiting.ts';

const redisUrl = inject('redisUrl');

describe('a reply channel', () => {
  let keys: ModelKeys;
  let redis: Redis;
  let proxy: TcpProxy;
  let channel: ReplyChannel;
  let opened: number;
  let heard: string[];
  beforeEach(async () => {
    keys = modelKeys(`test-${randomUUID()}`, 'minnow');
    redis = new Redis(redisUrl);
    proxy = await openTcpProxy(redisUrl);
    opened = 0;
    heard = [];
    channel = new ReplyChannel({
      keys,
      restMs: 300,
      subscriber: connector(proxy.url)('subscriber'),
      onEvents: (jobId) => heard.push(jobId),
      onOpen: () => {
        opened += 1;
      },
    });
  });
  afterEach(async () => {
    await channel.close();
    await proxy.close();
    redis.disconnect();
  });

  const publish = (lines: string): Promise<number> => redis.publish(keys.replies(channel.replyTo), lines);

  it('says that it hears again after its connection was cut, and does', async () => {
    await channel.open();
    await proxy.down();
    const before = opened;
    expect(await publish('lost\n{}')).toBe(0);
    await proxy.up();
    await eventually('it hears', () => opened > before);
    expect(await publish('heard\n{}')).toBe(1);
    await eventually('the event', () => heard.length > 0);
    expect(heard).toEqual(['heard']);
  });

  it('refuses to open while Redis does not answer, within seconds', async () => {
    await eventually('the connection', () => opened === 1);
    proxy.vanish();
    await expect(soon('the refusal', channel.open(), 2_500)).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('tells rest from silence, and leaves a Redis that says nothing', async () => {
    await channel.open();
    const { reachedAt } = channel;
    await eventually('a sign of life', () => channel.reachedAt > reachedAt);
    const before = opened;
    proxy.vanish();
    await eventually('it hears elsewhere', () => opened > before, 20_000);
  });

  it('tries again when Redis refuses it, and ends no process', async () => {
    const user = `test-${randomUUID()}`;
    await redis.acl('SETUSER', user, 'on', '>secret', '~*', '+@all', 'resetchannels');
    const url = Object.assign(new URL(redisUrl), { username: user, password: 'secret' });
    let allowed = 0;
    const refused = new ReplyChannel({
      keys,
      restMs: 300,
      subscriber: connector(url.href)('subscriber'),
      onEvents: () => {},
      onOpen: () => {
        allowed += 1;
      },
    });
    try {
      await expect(refused.open()).rejects.toMatchObject({ code: 'unavailable' });
      await redis.acl('SETUSER', user, 'allchannels');
      await eventually('it hears', () => allowed === 1);
      // Whose rights are taken away is cut off; it comes back, and is refused.
      await redis.acl('SETUSER', user, 'resetchannels');
      await sleep(1_000);
      expect(allowed).toBe(1);
      await redis.acl('SETUSER', user, 'allchannels');
      await eventually('it hears again', () => allowed === 2);
    } finally {
      await refused.close();
      await redis.acl('DELUSER', user);
    }
  });
});
