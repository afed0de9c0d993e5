import { join } from 'node:path';
import { launchRedis } from '../../../scripts/redis.mjs';
import { LENGTH, type RunningContestant, runsAt, type StartOptions } from './contestant.ts';
import { ServerProcess } from './server-process.ts';
import { pidOf } from './shoal.ts';

const READY_MS = 60_000;

/** How a plain BullMQ Worker batches: `batch` 1 is one prompt at a time. */
export interface PlainBatching {
  readonly batch: number;
  /** After which an incomplete batch runs, from its first prompt; absent: never. */
  readonly timeoutMs?: number;
}

/** BullMQ as most would wire it: a route that adds a job and waits for its end, and a Worker with the engine in it. */
export async function startPlainQueue(
  { model, threads }: StartOptions,
  { batch, timeoutMs }: PlainBatching,
): Promise<RunningContestant> {
  const redis = await launchRedis();
  const shared = { REDIS_URL: redis.url, QUEUE: 'prompts' };
  const worker = await ServerProcess.start({
    command: process.execPath,
    args: [join(import.meta.dirname, 'plain-worker.js')],
    env: {
      ...shared,
      MODEL: model.directory,
      MODEL_DTYPE: 'fp32',
      INTRA_OP_THREADS: String(threads),
      MAX_BATCH_SIZE: String(batch),
      MAX_MODEL_LEN: String(LENGTH),
      ...(timeoutMs !== undefined && { TIMEOUT_MS: String(timeoutMs) }),
    },
    readyPath: '/runs',
    readyMs: READY_MS,
  });
  const api = await ServerProcess.start({
    command: process.execPath,
    args: [join(import.meta.dirname, 'plain-route.js')],
    env: shared,
    readyPath: '/health',
    readyMs: READY_MS,
  });
  return {
    url: api.url,
    fields: {},
    pids: [api.pid, worker.pid, ...pidOf(redis)],
    runs: () => runsAt(worker.url),
    async close() {
      await api.close();
      await worker.close();
      await redis.stop();
    },
  };
}
