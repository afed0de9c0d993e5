import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Finding } from '../finding.ts';
import { random } from '../random.ts';
import type { BenchOptions, Scenario } from '../scenario.ts';
import { Child } from './child.ts';
import { freshQueue } from './jobs.ts';
import { Producers } from './producers.ts';
import { MeasuredRedis } from './redis-cost.ts';
import { stream } from './token-emit.ts';
import type { WorkerCalls } from './worker-process.ts';

const PRODUCERS = 4;
const SEQUENCES = 32;
/** How often each fault strikes while the sequences of one run are generated. */
const FAULTS_PER_RUN = 20;
const STEP_MS = 2;

/** Connections dropped, and Redis' scripts forgotten, while emits are in flight: are the logs still right? */
export const brokenConnections: Scenario = {
  name: 'broken-connections',
  title: 'sockets dropped and scripts flushed with emits in flight',
  run,
};

async function* run({ quick }: BenchOptions): AsyncGenerator<Finding> {
  const runs = quick ? 1 : 10;
  const redis = await MeasuredRedis.launch();
  const producers = new Producers(PRODUCERS);
  const worker = new Child<WorkerCalls>('worker-process.js');
  const next = random(1);
  try {
    for (const [name, fault] of [
      ['sockets dropped', () => redis.dropSockets()],
      ['scripts flushed', () => redis.flushScripts()],
    ] as const) {
      let wrong = 0;
      for (let at = 0; at < runs; at += 1) {
        const address = freshQueue(redis.url);
        await producers.connect('replies', address);
        const ids = Array.from({ length: SEQUENCES }, () => randomUUID());
        const tokens = (FAULTS_PER_RUN * 125) / STEP_MS;
        const streaming = stream({ producers, worker, address, tokens, stepMs: STEP_MS, ids });
        for (let faults = 0; faults < FAULTS_PER_RUN; faults += 1) {
          await sleep(80 + 40 * next());
          await fault();
        }
        wrong += await streaming;
        for (const id of ids) if (!isWhole(await redis.log(address, id), tokens)) wrong += 1;
        await producers.disconnect();
        await redis.forget(address);
      }
      yield { name: `${name}`, unit: 'times', value: runs * FAULTS_PER_RUN };
      yield { name: `${name}: wrong logs or streams`, unit: '', value: wrong, target: { atMost: 0 } };
    }
  } finally {
    producers.close();
    worker.close();
    await redis.close();
  }
}

/** True when the entries of a log are tokens 0, 1, 2 … in order. */
function isWhole(entries: readonly string[], tokens: number): boolean {
  const logged = entries.flatMap((entry) => (JSON.parse(entry) as { tokenIds: number[] }).tokenIds);
  return logged.length === tokens && logged.every((token, index) => token === index);
}
