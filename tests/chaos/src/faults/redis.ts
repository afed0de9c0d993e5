import { setTimeout as sleep } from 'node:timers/promises';
import type { SharedFault } from './fault.ts';

export const REDIS_FAULTS: readonly SharedFault[] = [
  {
    name: 'kill-redis',
    weight: 4,
    target: 'redis',
    strike: ({ cluster }, random) => cluster.crashRedis(random.between(0, 2_000)),
  },
  {
    name: 'freeze-redis',
    weight: 4,
    target: 'redis',
    async strike({ cluster: { redis } }, random) {
      const { pid } = redis;
      if (pid === undefined) return;
      process.kill(pid, 'SIGSTOP');
      await sleep(random.between(3_000, 7_000));
      process.kill(pid, 'SIGCONT');
    },
  },
  {
    name: 'fill-redis',
    weight: 4,
    target: 'redis',
    async strike({ cluster: { probe } }, random) {
      await probe.redis.config('SET', 'maxmemory', String(await probe.info('used_memory')));
      await sleep(random.between(500, 4_000));
      await probe.redis.config('SET', 'maxmemory', '0');
    },
  },
  {
    name: 'flush-scripts',
    weight: 3,
    target: 'redis',
    async strike({ cluster: { probe } }, random) {
      for (let i = random.between(1, 5); i > 0; i--) {
        await probe.redis.script('FLUSH');
        await sleep(random.between(10, 200));
      }
    },
  },
];
