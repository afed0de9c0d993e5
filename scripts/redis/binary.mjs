// Finds a Redis server program: on PATH, or in Debian's package.
import { runCommand } from '../system/bounded.mjs';
import { extractDebianPackages, extracted, hasDebianPackages } from '../system/debian-package.mjs';
import { onPath } from '../system/on-path.mjs';

/**
 * @typedef {object} RedisBinary
 * @property {string} path
 * @property {Record<string, string>} env What it needs in its environment.
 * @property {string} version Such as "redis 7.0.15".
 * @property {'path' | 'debian-package'} source
 */

const NAMES = ['redis-server', 'valkey-server'];
const DEBIAN = {
  packages: ['redis-server', 'redis-tools'],
  folder: 'redis',
  program: 'usr/bin/redis-server',
  libraries: true,
};

/**
 * @param {{ log: (line: string) => void, tried: string[] }} context Each way that failed is added to `tried`.
 * @returns {Promise<RedisBinary | undefined>}
 */
export async function findRedisBinary({ log, tried }) {
  for (const name of NAMES) {
    const path = onPath(name);
    const version = path && (await versionOf({ path, env: {} }));
    if (path && version) return { path, env: {}, version, source: 'path' };
  }
  tried.push(`no ${NAMES.join(' or ')} on PATH`);

  const cached = await working();
  if (cached) return cached;
  if (!hasDebianPackages()) {
    tried.push("no apt-get here to fetch Debian's package with");
    return undefined;
  }
  log("Redis: none installed, fetching Debian's package into a cache folder (once, no root needed)");
  const problem = await extractDebianPackages(DEBIAN);
  const fresh = await working();
  if (!fresh) tried.push(`Debian's package could not be used: ${problem ?? 'the program in it does not start'}`);
  return fresh;
}

/** @returns {Promise<RedisBinary | undefined>} The extracted program, if it starts. */
async function working() {
  const found = extracted(DEBIAN);
  const version = found && (await versionOf(found));
  return found && version ? { ...found, version, source: 'debian-package' } : undefined;
}

/**
 * @param {{ path: string, env: Record<string, string> }} program
 * @returns {Promise<string | undefined>} Undefined when the program does not start.
 */
async function versionOf({ path, env }) {
  const { code, output } = await runCommand(path, ['--version'], { limitMs: 5_000, env: { ...process.env, ...env } });
  const name = /valkey/i.test(output) ? 'valkey' : 'redis';
  return code === 0 ? `${name} ${/v=(\S+)/.exec(output)?.[1] ?? ''}`.trim() : undefined;
}
