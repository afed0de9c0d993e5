import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { connector } from './connection.ts';
import { type ModelKeys, modelKeys } from './keys.ts';
import { ReplyStream } from './reply-stream.ts';
import { eventually } from './testing/waiting.ts';

const redisUrl = inject('redisUrl');

describe('a reply stream', () => {
  let keys: ModelKeys;
  let redis: Redis;
  let commands: ReturnType<ReturnType<typeof connector>>;
  let stream: ReplyStream;
  let opened: number;
  let heard: string[];
  beforeEach(async () => {
    keys = modelKeys(`test-${randomUUID()}`, 'minnow');
    redis = new Redis(redisUrl);
    commands = connector(redisUrl)('commands-now');
    opened = 0;
    heard = [];
    stream = new ReplyStream({
      keys,
      restMs: 300,
      commands,
      blocking: connector(redisUrl)('blocking'),
      onEvents: (jobId) => heard.push(jobId),
      onOpen: () => {
        opened += 1;
      },
    });
    await stream.open();
  });
  afterEach(async () => {
    await stream.close();
    commands.disconnect();
    redis.disconnect();
  });

  it('is made anew when it is gone, and says so', async () => {
    expect(opened).toBe(1);
    await stream.open();
    expect(opened).toBe(1);
    await redis.del(keys.replies(stream.replyTo));
    await stream.open();
    expect(opened).toBe(2);
    await redis.xadd(keys.replies(stream.replyTo), 'NOMKSTREAM', '*', 'e', 'heard\n{}');
    await eventually('the event', () => heard.length > 0);
    expect(heard).toEqual(['heard']);
  });

  it('expires unless its producer keeps it, and goes with it', async () => {
    const key = keys.replies(stream.replyTo);
    expect(await redis.pttl(key)).toBeGreaterThan(0);
    expect(await redis.pttl(key)).toBeLessThanOrEqual(60_000);
    await stream.close();
    expect(await redis.exists(key)).toBe(0);
  });
});
