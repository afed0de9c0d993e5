import { setTimeout as sleep } from 'node:timers/promises';
import type { Finding } from '../finding.ts';
import type { BenchOptions, Scenario } from '../scenario.ts';
import { Child } from './child.ts';
import { freshQueue } from './jobs.ts';
import { Producers } from './producers.ts';
import { MeasuredRedis } from './redis-cost.ts';
import type { WorkerCalls, WorkerKind } from './worker-process.ts';

/** What a worker that has nothing to do asks of Redis, and what one job asks that comes to it. */
export const idleCost: Scenario = { name: 'idle-cost', title: 'a worker with little to do', run };

async function* run({ quick }: BenchOptions): AsyncGenerator<Finding> {
  const jobs = quick ? 20 : 200;
  const redis = await MeasuredRedis.launch();
  const producers = new Producers(1);
  const worker = new Child<WorkerCalls>('worker-process.js');
  const kinds: readonly WorkerKind[] = ['plain', 'collector', 'bulk'];
  try {
    for (const kind of kinds) {
      const name = kind === 'bulk' ? 'ours' : kind;
      const address = freshQueue(redis.url);
      await producers.connect('replies', address);
      await worker.call('serve', { kind, address, batch: 32 });
      await sleep(500);
      await worker.call('mark', undefined);
      await sleep(quick ? 500 : 5_000);
      const nothing = await worker.call('stop', undefined);
      const perSecond = (nothing.commands / nothing.ms) * 1000;
      yield { name: `${name}: commands per second with no job`, unit: '', value: perSecond };
      if (kind === 'bulk') {
        await worker.call('serve', { kind, address, batch: 32 });
        await producers.all('roundTrips', () => ({ jobs, inFlight: 1 }));
        const { commands, ms } = await worker.call('stop', undefined);
        const perJob = (commands - (perSecond * ms) / 1000) / jobs;
        yield {
          name: `${name}: commands for each job that comes alone`,
          unit: '',
          value: perJob,
          target: { atMost: 4 },
        };
      }
      await producers.disconnect();
      await redis.forget(address);
    }
  } finally {
    producers.close();
    worker.close();
    await redis.close();
  }
}
