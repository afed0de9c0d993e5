import { join } from 'node:path';
import { launchRedis } from '../../../scripts/redis.mjs';
import { freePort } from '../../../scripts/system/ports.mjs';
import { BATCH, LENGTH, type RunningContestant, runsAt, type StartOptions } from './contestant.ts';
import { DOOR_PORT, engineAt } from './engine-calls.ts';
import { ServerProcess } from './server-process.ts';
import { pidOf } from './shoal.ts';

const READY_MS = 60_000;

/**
 * The least that has Shoal's processes: a route, Redis, a worker with the same engine on a thread, a stream back. No
 * schema, no queue of BullMQ's, no locks, no log of tokens. What it adds to the engine, this machine adds.
 */
export async function startBareChain({ model, threads }: StartOptions): Promise<RunningContestant> {
  const redis = await launchRedis();
  const doorPort = await freePort();
  const start = (script: string, readyPath: string, env: Readonly<Record<string, string>> = {}) =>
    ServerProcess.start({
      command: process.execPath,
      args: [join(import.meta.dirname, script)],
      env: { REDIS_URL: redis.url, ...env },
      readyPath,
      readyMs: READY_MS,
    });
  const worker = await start('chain-worker.js', '/runs', {
    MODEL: model.directory,
    MODEL_DTYPE: 'fp32',
    INTRA_OP_THREADS: String(threads),
    MAX_BATCH_SIZE: String(BATCH),
    MAX_MODEL_LEN: String(LENGTH),
    [DOOR_PORT]: String(doorPort),
  });
  const api = await start('chain-route.js', '/health');
  return {
    url: api.url,
    fields: {},
    pids: [api.pid, worker.pid, ...pidOf(redis)],
    engine: engineAt(doorPort),
    runs: () => runsAt(worker.url),
    async close() {
      await api.close();
      await worker.close();
      await redis.stop();
    },
  };
}
