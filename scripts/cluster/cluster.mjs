// A whole Shoal on this machine: Redis, one API, one worker, the board.
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { root } from '../bootstrap.mjs';
import { launchRedis } from '../redis.mjs';
import { waitUntil } from '../system/bounded.mjs';
import { freePort } from '../system/ports.mjs';
import { startNode } from './node-process.mjs';

const HOST = '127.0.0.1';
const READY_LIMIT_MS = 60_000;
/** A model that is not there yet is downloaded first; whoever starts this sees how far that is. */
const DOWNLOAD_LIMIT_MS = 6 * 3_600_000;
const REDIS_PORT = 6379;
const STOP_LIMIT_MS = 15_000;

/**
 * @typedef {object} Cluster
 * @property {string} apiUrl
 * @property {string} boardUrl
 * @property {string} boardUser
 * @property {string} boardPassword
 * @property {string} model Served name.
 * @property {boolean} asksForKey True when callers need one of API_KEYS.
 * @property {import('../redis.d.mts').RunningRedis} redis
 * @property {import('./node-process.mjs').ManagedProcess[]} processes
 * @property {Promise<string>} broken Resolves, to a sentence, when a process ends that nobody stopped.
 * @property {() => Promise<void>} stop Board, API, worker, Redis: each finishes what the next one serves. Idempotent.
 * @property {() => void} kill Everything at once, for those who cannot wait.
 */

/**
 * Starts it and waits until the API lists the worker's model. Rejects, with everything stopped, when that does not
 * happen in time.
 * @param {object} options
 * @param {(name: string, line: string) => void} options.onLine Gets every line that a process writes.
 * @param {(line: string) => void} options.log What is being done.
 * @param {NodeJS.ProcessEnv} [options.env] Settings over the environment's.
 * @param {AbortSignal} [options.signal] Aborted when the user gives up waiting.
 * @returns {Promise<Cluster>}
 */
export async function startCluster({ onLine, log, env = {}, signal }) {
  const settings = await chooseSettings({ ...process.env, ...env }, log);
  const redis = await launchRedis({ log, preferredPort: REDIS_PORT });
  const shared = { ...settings, REDIS_URL: redis.url };
  let stopping = false;
  const launch = (/** @type {'api' | 'worker' | 'board'} */ name) =>
    startNode({
      name,
      args: ['--enable-source-maps', join(root, 'apps', name, 'dist', 'main.js')],
      env: shared,
      // Not the root: its .env is in the environment already, under what the caller chose.
      cwd: join(root, 'apps', name),
      onLine: (line) => onLine(name, line),
    });
  const worker = launch('worker');
  const api = launch('api');
  const board = launch('board');
  const processes = [board, api, worker];

  /** @type {Promise<void> | undefined} */
  let stopped;
  const stop = async () => {
    stopping = true;
    for (const process of processes) await process.stop({ limitMs: STOP_LIMIT_MS });
    await redis.stop();
  };
  const cluster = {
    apiUrl: `http://${HOST}:${settings.PORT}`,
    boardUrl: `http://${HOST}:${settings.BOARD_PORT}`,
    boardUser: settings.BOARD_USER,
    boardPassword: settings.BOARD_PASSWORD,
    asksForKey: Boolean(settings.API_KEYS),
    model: settings.MODEL_NAME || 'your-model',
    redis,
    processes,
    broken: Promise.race(processes.map(async (process) => describeDeath(process, await process.ended))),
    stop: () => (stopped ??= stop()),
    kill() {
      for (const process of processes) process.kill();
    },
  };
  const alive = () => processes.every((process) => process.running()) && !signal?.aborted && !stopping;
  const limitMs = existsSync(settings.MODEL) ? READY_LIMIT_MS : DOWNLOAD_LIMIT_MS;
  const served = async () => {
    const model = await servedModel(cluster, settings.MODEL_NAME);
    if (model !== undefined) cluster.model = model;
    return model !== undefined;
  };
  const ready = await waitUntil(async () => !alive() || (await served()), { limitMs, everyMs: 100 });
  if (ready && alive()) return cluster;
  const dead = processes.find((process) => !process.running());
  const reason = dead
    ? describeDeath(dead, await dead.ended)
    : `Shoal was not ready within ${limitMs / 1000} s.\n${processes.flatMap(quote).join('\n')}`;
  await cluster.stop();
  throw new Error(signal?.aborted ? 'stopped before it was ready' : reason);
}

/**
 * The environment of all three processes: what the user set, and what makes a private cluster of it.
 * @param {NodeJS.ProcessEnv} env
 * @param {(line: string) => void} log
 */
async function chooseSettings(env, log) {
  const port = await portFor('API', Number(env.PORT || 3000), log);
  const boardPort = await portFor('board', Number(env.BOARD_PORT || 3001), log);
  const metricsPort = await portFor("worker's metrics", Number(env.METRICS_PORT || 9100), log);
  return {
    ...env,
    HOST,
    PORT: String(port),
    BOARD_HOST: HOST,
    BOARD_PORT: String(boardPort),
    BOARD_URL: env.BOARD_URL || `http://${HOST}:${boardPort}/`,
    METRICS_PORT: String(metricsPort),
    MODEL: modelPath(env.MODEL || './models/minnow'),
    // Empty is as good as not set: then the worker takes the name from its model.
    MODEL_NAME: env.MODEL_NAME || '',
    API_KEYS: env.API_KEYS || '',
    BOARD_USER: env.BOARD_USER || 'admin',
    BOARD_PASSWORD: env.BOARD_PASSWORD || randomBytes(9).toString('base64url'),
  };
}

/** A folder, relative to the repository, or a hub id, which is left alone. @param {string} model */
function modelPath(model) {
  const folder = resolve(root, model);
  return existsSync(folder) ? folder : model;
}

/** @param {string} what @param {number} preferred @param {(line: string) => void} log */
async function portFor(what, preferred, log) {
  const port = await freePort(preferred, HOST);
  if (port !== preferred) log(`port ${preferred} is taken: the ${what} gets ${port}`);
  return port;
}

/**
 * The name of the model, once everything is ready to serve it.
 * @param {{ apiUrl: string, boardUrl: string, model: string }} cluster
 * @param {string} wanted The name that was given, or '' for whatever its worker serves.
 * @returns {Promise<string | undefined>}
 */
async function servedModel({ apiUrl, boardUrl, model }, wanted) {
  try {
    const health = await fetch(`${apiUrl}/health/ready`, { signal: AbortSignal.timeout(2_000) });
    await health.arrayBuffer();
    if (!health.ok) return undefined;
    let name = model;
    const listed = await fetch(`${apiUrl}/v1/models`, { signal: AbortSignal.timeout(2_000) });
    // With API keys set the list is not for us; the worker then has to be believed.
    if (listed.status === 401) {
      await listed.arrayBuffer();
    } else {
      const { data } = /** @type {{ data?: { id: string, shoal: { workers: number } }[] }} */ (await listed.json());
      // A Redis of one's own may know models that nobody serves now.
      const live = (data ?? []).filter(({ shoal }) => shoal.workers > 0).map(({ id }) => id);
      const found = wanted ? live.find((id) => id === wanted) : live[0];
      if (found === undefined) return undefined;
      name = found;
    }
    const board = await fetch(`${boardUrl}/health/ready`, { signal: AbortSignal.timeout(2_000) });
    await board.arrayBuffer();
    return board.ok ? name : undefined;
  } catch {
    return undefined;
  }
}

/** @param {import('./node-process.mjs').ManagedProcess} process @param {string} how */
function describeDeath(process, how) {
  return [`The ${process.name} ended by itself (${how}).`, ...quote(process)].join('\n');
}

/** @param {import('./node-process.mjs').ManagedProcess} process */
function quote(process) {
  return process
    .lastLines()
    .slice(-8)
    .map((line) => `  ${process.name} │ ${line}`);
}

/** Settings that the user keeps in `.env` count here too; the environment goes first. */
export function readDotenv() {
  const file = join(root, '.env');
  if (existsSync(file)) process.loadEnvFile(file);
}
