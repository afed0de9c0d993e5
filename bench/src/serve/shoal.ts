import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { launchRedis, type RunningRedis } from '../../../scripts/redis.mjs';
import { freePort } from '../../../scripts/system/ports.mjs';
import { BATCH, LENGTH, type ModelRuns, type RunningContestant, runsAt, type StartOptions } from './contestant.ts';
import { DOOR_PORT, engineAt } from './engine-calls.ts';
import { ServerProcess } from './server-process.ts';

const APPS = join(import.meta.dirname, '..', '..', '..', 'apps');
const READY_MS = 60_000;

/** Which worker runs behind Shoal's API. */
export type ShoalWorker = 'continuous' | 'static' | 'collector';

export interface ShoalOptions {
  readonly dtype?: 'fp32' | 'q4';
  readonly env?: Readonly<Record<string, string>>;
  /** Whether its engine can be asked past API and queue, too. Default false. */
  readonly door?: boolean;
}

/** Redis, API and one worker in processes of their own, as built for production; `env` over the settings of both. */
export async function startShoal(
  { model, threads }: StartOptions,
  kind: ShoalWorker,
  { dtype = 'fp32', env = {}, door = false }: ShoalOptions = {},
): Promise<RunningContestant> {
  const redis = await launchRedis();
  const doorPort = door ? await freePort() : undefined;
  const prefix = `bench-${process.pid}-${Date.now()}`;
  const shared = { REDIS_URL: redis.url, QUEUE_PREFIX: prefix, LOG_LEVEL: 'warn', ...env };
  const worker = await startWorker(kind, {
    ...shared,
    MODEL: model.directory,
    MODEL_NAME: model.name,
    MODEL_DTYPE: dtype,
    EXECUTION_PROVIDER: 'cpu',
    INTRA_OP_THREADS: String(threads),
    MAX_BATCH_SIZE: String(BATCH),
    MAX_MODEL_LEN: String(LENGTH),
    ...(doorPort !== undefined && { [DOOR_PORT]: String(doorPort) }),
  });
  // Each request is generated: none shares the answer of another.
  const api = await ServerProcess.start({
    command: process.execPath,
    args: [join(APPS, 'api', 'dist', 'main.js')],
    env: { ...shared, REUSE_ANSWERS: 'false' },
    cwd: tmpdir(),
    readyPath: '/health/ready',
    readyMs: READY_MS,
  });
  return {
    url: api.url,
    fields: {
      model: model.name,
      temperature: 0,
      ignore_eos: true,
      stream: true,
      stream_options: { include_usage: true },
    },
    pids: [api.pid, worker.pid, ...pidOf(redis)],
    metricsUrls: [`${api.url}/metrics`, `${worker.url}/metrics`],
    ...(doorPort !== undefined && { engine: engineAt(doorPort) }),
    runs: () => (kind === 'collector' ? runsAt(worker.url) : decodeSteps(worker.url)),
    async close() {
      await api.close();
      await worker.close();
      await redis.stop();
    },
  };
}

function startWorker(kind: ShoalWorker, env: Readonly<Record<string, string>>): Promise<ServerProcess> {
  const node = { command: process.execPath, cwd: tmpdir(), readyMs: READY_MS };
  if (kind === 'collector') {
    const args = [join(import.meta.dirname, 'collector-worker.js')];
    return ServerProcess.start({ ...node, args, env, readyPath: '/runs' });
  }
  const throughDoor = DOOR_PORT in env ? ['--import', join(import.meta.dirname, 'engine-door.js')] : [];
  return ServerProcess.start({
    ...node,
    args: [...throughDoor, join(APPS, 'worker', 'dist', 'main.js')],
    env: { ...env, BATCHING: kind },
    readyPath: '/health/ready',
    portName: 'METRICS_PORT',
  });
}

/** Decode steps of a Shoal worker and the sequences in them, from its metrics. */
async function decodeSteps(url: string): Promise<ModelRuns> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const of = (part: string): number =>
    Number(new RegExp(`^shoal_step_batch_size_${part}\\{.*phase="decode".*\\} (\\S+)$`, 'm').exec(text)?.[1] ?? 0);
  return { runs: of('count'), sequences: of('sum') };
}

export function pidOf({ pid }: RunningRedis): number[] {
  return pid === undefined ? [] : [pid];
}
