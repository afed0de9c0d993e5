// The last resort: Redis in a container.

import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { runCommand, waitUntil } from '../system/bounded.mjs';
import { onPath } from '../system/on-path.mjs';
import { freePort } from '../system/ports.mjs';
import { redisAnswers } from './ping.mjs';

const IMAGE = 'redis:7.4-alpine';

/**
 * @param {string[]} tried Gets a line when it does not.
 * @returns {Promise<boolean>}
 */
export async function dockerAnswers(tried) {
  if (!onPath('docker')) {
    tried.push('no docker on PATH');
    return false;
  }
  const { code } = await runCommand('docker', ['info', '--format', '{{.ServerVersion}}'], { limitMs: 10_000 });
  if (code !== 0) tried.push("docker's daemon does not answer");
  return code === 0;
}

/**
 * @param {import('../redis.d.mts').LaunchRedisOptions} options
 * @param {(line: string) => void} log
 * @returns {Promise<import('../redis.d.mts').RunningRedis>}
 */
export async function launchInDocker(options, log) {
  const port = options.port ?? (await freePort(options.preferredPort));
  const name = `shoal-redis-${process.pid}-${randomBytes(3).toString('hex')}`;
  log(`Redis: none installed, starting ${IMAGE} in docker on 127.0.0.1:${port}`);
  await docker(
    [
      ...['run', '--detach', '--name', name, '--publish', `127.0.0.1:${port}:6379`],
      ...(options.dataDir === undefined ? [] : ['--volume', `${options.dataDir}:/data`]),
      ...[
        IMAGE,
        'redis-server',
        '--appendonly',
        (options.appendonly ?? true) ? 'yes' : 'no',
        '--appendfsync',
        'everysec',
      ],
      ...['--save', '', '--maxmemory-policy', 'noeviction'],
    ],
    // The image may have to be pulled.
    180_000,
  );
  const onExit = () => spawnSync('docker', ['rm', '--force', '--volumes', name], { stdio: 'ignore', timeout: 10_000 });
  process.once('exit', onExit);
  await untilReady(port);

  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    pid: undefined,
    dataDir: options.dataDir,
    source: 'docker',
    async stop() {
      process.removeListener('exit', onExit);
      await docker(['stop', '--time', '5', name], 20_000).catch(() => {});
      await docker(['rm', '--force', '--volumes', name], 20_000).catch(() => {});
    },
    kill: () => docker(['kill', name], 20_000),
    async restart() {
      await docker(['restart', '--time', '5', name], 30_000);
      await untilReady(port);
    },
  };
}

/**
 * @param {string[]} args
 * @param {number} limitMs
 */
async function docker(args, limitMs) {
  const { code, output } = await runCommand('docker', args, { limitMs });
  if (code !== 0) throw new Error(`docker ${args[0]} failed: ${output.trim().split('\n').at(-1)}`);
}

/** @param {number} port */
async function untilReady(port) {
  const ready = await waitUntil(() => redisAnswers(port, '127.0.0.1', 1_000), { limitMs: 60_000, everyMs: 100 });
  if (!ready) throw new Error(`the Redis container did not answer on 127.0.0.1:${port} within 60 s`);
}
