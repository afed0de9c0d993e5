import type { TestProject } from 'vitest/node';
import { launchRedis } from '../scripts/redis.mjs';

declare module 'vitest' {
  interface ProvidedContext {
    redisUrl: string;
  }
}

/** Gives every test file `inject('redisUrl')`: `REDIS_URL` if set, else an instance of its own with AOF. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const redis = await launchRedis();
  project.provide('redisUrl', redis.url);
  return () => redis.stop();
}
