import { Redis } from 'ioredis';
import { expect, inject, it } from 'vitest';
import { refuseEviction } from './eviction.ts';

/** A Redis whose INFO says so. */
function redisWith(limit: number, policy: string): Redis {
  const redis = new Redis(inject('redisUrl'), { lazyConnect: true });
  redis.info = async () => `# Memory\r\nused_memory:1\r\nmaxmemory:${limit}\r\nmaxmemory_policy:${policy}\r\n`;
  return redis;
}

it('refuses a Redis that would evict accepted requests, and only that', async () => {
  await expect(refuseEviction(redisWith(1_000_000, 'allkeys-lru'))).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining('noeviction'),
  });
  await refuseEviction(redisWith(0, 'allkeys-lru'));
  await refuseEviction(redisWith(1_000_000, 'noeviction'));
});

it('reads what a real Redis says', async () => {
  const redis = new Redis(inject('redisUrl'));
  expect(await redis.info('memory')).toMatch(/maxmemory:\d+/);
  expect(await redis.info('memory')).toMatch(/maxmemory_policy:[\w-]+/);
  redis.disconnect();
});
