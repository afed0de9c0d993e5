import { ShoalError } from '@shoal/protocol';
import type { RedisClient } from './redis-address.ts';

/**
 * Rejects with `unavailable` when this Redis would throw away accepted requests to make room: it has a memory limit and
 * an eviction policy other than `noeviction`.
 */
export async function refuseEviction(redis: RedisClient): Promise<void> {
  const info = await redis.info('memory');
  const policy = /maxmemory_policy:([\w-]+)/.exec(info)?.[1] ?? 'noeviction';
  const limit = Number(/maxmemory:(\d+)/.exec(info)?.[1] ?? 0);
  if (limit === 0 || policy === 'noeviction') return;
  throw new ShoalError(
    'unavailable',
    `Redis has a memory limit and the eviction policy ${policy}: it would lose accepted requests; set maxmemory-policy to noeviction`,
  );
}
