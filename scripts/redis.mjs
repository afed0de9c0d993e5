// Gives the caller a Redis, whatever the machine has. The types are in redis.d.mts.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findRedisBinary } from './redis/binary.mjs';
import { dockerAnswers, launchInDocker } from './redis/docker.mjs';
import { redisAnswers } from './redis/ping.mjs';
import { waitUntil } from './system/bounded.mjs';
import { dieWithParent } from './system/parent.mjs';
import { freePort } from './system/ports.mjs';

const TEMPORARY_PREFIX = 'shoal-redis-';
/** Loading a large append-only file takes a while; an empty one takes milliseconds. */
const START_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 10_000;

/** @type {typeof import('./redis.d.mts').launchRedis} */
export async function launchRedis(options = {}) {
  const log = options.log ?? (() => {});
  if (process.env.REDIS_URL) return useGiven(process.env.REDIS_URL, log);
  const tried = ['REDIS_URL is not set'];
  const binary = await findRedisBinary({ log, tried });
  if (binary) return launchBinary(binary, options, log);
  if (await dockerAnswers(tried)) return launchInDocker(options, log);
  throw new Error(
    [
      'No Redis could be found or started. Tried:',
      ...tried.map((line) => `  - ${line}`),
      'Install Redis (Debian, Ubuntu: apt-get install redis-server; macOS: brew install redis), or point REDIS_URL at one.',
    ].join('\n'),
  );
}

/**
 * @param {string} url
 * @param {(line: string) => void} log
 * @returns {Promise<import('./redis.d.mts').RunningRedis>}
 */
async function useGiven(url, log) {
  let parsed;
  try {
    parsed = new URL(url);
  } catch {
    throw new Error('REDIS_URL is not a URL; expected something like redis://127.0.0.1:6379');
  }
  const port = Number(parsed.port || 6379);
  // A TLS endpoint is left to the client libraries, which know the certificates.
  if (parsed.protocol === 'redis:' && !(await redisAnswers(port, parsed.hostname, 5_000))) {
    throw new Error(
      `REDIS_URL is set, but no Redis answers at ${parsed.hostname}:${port}. Start it, or unset REDIS_URL.`,
    );
  }
  log(`Redis: the one at ${parsed.hostname}:${port} (REDIS_URL)`);
  const notOurs = () => Promise.reject(new Error('this Redis was given by REDIS_URL and is not ours to stop'));
  return {
    url,
    port,
    pid: undefined,
    dataDir: undefined,
    source: 'REDIS_URL',
    stop: async () => {},
    kill: notOurs,
    restart: notOurs,
  };
}

/**
 * @param {import('./redis/binary.mjs').RedisBinary} binary
 * @param {import('./redis.d.mts').LaunchRedisOptions} options
 * @param {(line: string) => void} log
 * @returns {Promise<import('./redis.d.mts').RunningRedis>}
 */
async function launchBinary(binary, options, log) {
  const temporary = options.dataDir === undefined;
  if (temporary) removeLeftovers();
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), `${TEMPORARY_PREFIX}${process.pid}-`));
  mkdirSync(dataDir, { recursive: true });
  const removeData = () => {
    if (temporary) rmSync(dataDir, { recursive: true, force: true });
  };
  const appendonly = options.appendonly ?? true;
  const more = options.args ?? [];
  let { child, port } = await startOnFreePort(binary, {
    dataDir,
    appendonly,
    more,
    port: options.port,
    preferredPort: options.preferredPort,
  }).catch((error) => {
    removeData();
    throw error;
  });
  log(`Redis: ${binary.version} on 127.0.0.1:${port}, pid ${child.process.pid}`);

  const onExit = () => {
    child.process.kill('SIGKILL');
    removeData();
  };
  process.once('exit', onExit);

  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    get pid() {
      return child.running ? child.process.pid : undefined;
    },
    dataDir,
    source: binary.source,
    async stop() {
      process.removeListener('exit', onExit);
      await endChild(child, 'SIGTERM');
      removeData();
    },
    kill: () => endChild(child, 'SIGKILL'),
    async restart() {
      await endChild(child, 'SIGTERM');
      child = await startServer(binary, { dataDir, appendonly, more, port });
    },
  };
}

/**
 * Another process may take a free port between our look and Redis' bind: a few attempts, then the error.
 * @param {import('./redis/binary.mjs').RedisBinary} binary
 * @param {{ dataDir: string, appendonly: boolean, more: readonly string[], port: number | undefined, preferredPort: number | undefined }} settings
 */
async function startOnFreePort(binary, settings) {
  for (let attempt = 1; ; attempt++) {
    const port = settings.port ?? (await freePort(attempt === 1 ? settings.preferredPort : undefined));
    try {
      return { child: await startServer(binary, { ...settings, port }), port };
    } catch (error) {
      if (settings.port !== undefined || attempt === 3) throw error;
    }
  }
}

/**
 * @param {import('./redis/binary.mjs').RedisBinary} binary
 * @param {{ dataDir: string, appendonly: boolean, more: readonly string[], port: number }} settings
 */
async function startServer(binary, { dataDir, appendonly, more, port }) {
  const logFile = join(dataDir, 'redis.log');
  const output = openSync(logFile, 'a');
  const args = [
    ...['--port', String(port), '--bind', '127.0.0.1', '--dir', dataDir, '--daemonize', 'no'],
    ...['--appendonly', appendonly ? 'yes' : 'no', '--appendfsync', 'everysec', '--save', ''],
    ...['--maxmemory-policy', 'noeviction'],
    ...more,
  ];
  const { command, args: wrapped } = dieWithParent(binary.path, args);
  const child = {
    // Detached: a Ctrl-C in the terminal reaches the caller, who stops Redis last.
    process: spawn(command, wrapped, {
      detached: true,
      stdio: ['ignore', output, output],
      env: { ...process.env, ...binary.env },
    }),
    running: true,
    /** @type {Error | undefined} */ failure: undefined,
  };
  child.process.once('exit', () => {
    child.running = false;
  });
  child.process.once('error', (error) => {
    child.running = false;
    child.failure = error;
  });
  child.process.unref();
  const ready = await waitUntil(async () => !child.running || (await redisAnswers(port, '127.0.0.1', 1_000)), {
    limitMs: START_LIMIT_MS,
    everyMs: 20,
  });
  if (ready && child.running) return child;
  await endChild(child, 'SIGKILL');
  throw new Error(`${binary.path} did not start: ${child.failure?.message ?? lastLines(logFile)}`);
}

/**
 * @param {{ process: import('node:child_process').ChildProcess, running: boolean }} child
 * @param {'SIGTERM' | 'SIGKILL'} signal
 */
async function endChild(child, signal) {
  if (!child.running) return;
  child.process.kill(signal);
  if (await waitUntil(() => !child.running, { limitMs: STOP_LIMIT_MS, everyMs: 5 })) return;
  child.process.kill('SIGKILL');
  await waitUntil(() => !child.running, { limitMs: STOP_LIMIT_MS, everyMs: 5 });
}

/** Temporary data of callers that died without stopping their Redis (the folder's name tells whose it was). */
function removeLeftovers() {
  for (const name of readdirSync(tmpdir())) {
    const owner = name.startsWith(TEMPORARY_PREFIX) ? Number(name.slice(TEMPORARY_PREFIX.length).split('-')[0]) : 0;
    if (!Number.isInteger(owner) || owner <= 0 || isAlive(owner)) continue;
    try {
      rmSync(join(tmpdir(), name), { recursive: true, force: true });
    } catch {
      // Another user's: not ours to remove.
    }
  }
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM';
  }
}

/** @param {string} file */
function lastLines(file) {
  try {
    return readFileSync(file, 'utf8').trim().split('\n').slice(-3).join(' | ') || 'it said nothing';
  } catch {
    return 'it said nothing';
  }
}
