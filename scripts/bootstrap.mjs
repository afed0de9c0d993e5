// Makes a bare clone ready: checks Node, installs packages, builds. Needs nothing but Node and npm; does nothing, in a
// few milliseconds, where nothing is to be done. `node scripts/bootstrap.mjs` runs it alone.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fail, isMain, showHelp } from './console/command.mjs';
import { step } from './console/terminal.mjs';
import { runCommand } from './system/bounded.mjs';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const INSTALL_LIMIT_MS = 10 * 60_000;
const BUILD_LIMIT_MS = 5 * 60_000;

/** Installs and builds where needed. @param {{ build?: boolean }} [options] */
export async function bootstrap({ build = true } = {}) {
  requireNode();
  await installPackages();
  if (build) await buildPackages();
}

function requireNode() {
  const { engines } = manifest();
  const [major = 0, minor = 0] = /(\d+)\.(\d+)/.exec(engines.node)?.slice(1).map(Number) ?? [];
  const [ourMajor = 0, ourMinor = 0] = process.versions.node.split('.').map(Number);
  if (ourMajor > major || (ourMajor === major && ourMinor >= minor)) return;
  throw new Error(
    `Shoal needs Node ${major}.${minor} or newer; this is ${process.version}. See nodejs.org or your version manager (.nvmrc is there).`,
  );
}

/** @returns {{ packageManager: string, engines: { node: string } }} */
function manifest() {
  return JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
}

async function installPackages() {
  const stamp = stampFile('packages');
  const wanted = fingerprint([
    ...['package.json', 'pnpm-lock.yaml', 'pnpm-workspace.yaml', '.npmrc'].map((name) => join(root, name)),
    ...workspaces().map((folder) => join(folder, 'package.json')),
  ]);
  const linked = workspaces().every((folder) => existsSync(join(folder, 'node_modules')));
  if (linked && existsSync(join(root, 'node_modules', '.modules.yaml')) && stamp.read() === wanted) return;
  await step('installing packages', async () => {
    // In CI the lockfile is law; at a desk it follows an edited package.json.
    await pnpm(['install', process.env.CI ? '--frozen-lockfile' : '--prefer-frozen-lockfile'], INSTALL_LIMIT_MS);
  });
  stamp.write(wanted);
}

async function buildPackages() {
  const stamp = stampFile('build');
  const buildable = workspaces().filter((folder) => existsSync(join(folder, 'tsconfig.json')));
  const wanted = fingerprint([
    ...['pnpm-lock.yaml', 'tsconfig.base.json', 'turbo.json'].map((name) => join(root, name)),
    ...buildable.flatMap((folder) => [
      join(folder, 'package.json'),
      join(folder, 'tsconfig.json'),
      join(folder, 'vite.config.ts'),
      ...filesUnder(join(folder, 'src')).filter((file) => !file.endsWith('.test.ts')),
    ]),
  ]);
  if (buildable.every((folder) => existsSync(join(folder, 'dist'))) && stamp.read() === wanted) return;
  await step('building', () => pnpm(['exec', 'turbo', 'run', 'build', '--output-logs=errors-only'], BUILD_LIMIT_MS));
  stamp.write(wanted);
}

/**
 * pnpm in the version that package.json pins, brought by npx: nothing has to be installed for all.
 * @param {string[]} args
 * @param {number} limitMs
 */
export async function pnpm(args, limitMs) {
  const pinned = manifest().packageManager;
  const { code, output } = await runCommand('npx', ['--yes', pinned, ...args], {
    limitMs,
    cwd: root,
    env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1', TURBO_NO_UPDATE_NOTIFIER: '1', NO_UPDATE_NOTIFIER: '1' },
  });
  if (code === 0) return;
  throw new Error(`${pinned} ${args.join(' ')} failed:\n${withoutHosts(output.trim())}`);
}

/** Which mirror a machine installs from, and what npm thinks of its settings, is its own affair. @param {string} text */
function withoutHosts(text) {
  return text.replace(/^npm warn .*\n/gm, '').replace(/\bhttps?:\/\/[^\s/'")]+/g, '<registry>');
}

/** Folders of the workspace's packages, apps and the rest, as pnpm-workspace.yaml lists them. @returns {string[]} */
function workspaces() {
  const listed =
    /^packages:\n((?: +- .+\n)+)/m.exec(readFileSync(join(root, 'pnpm-workspace.yaml'), 'utf8'))?.[1] ?? '';
  const patterns = [...listed.matchAll(/- ['"]?([^'"\n]+)['"]?/g)].map((match) => match[1] ?? '');
  return patterns.flatMap(expand).filter((folder) => existsSync(join(folder, 'package.json')));
}

/** `apps/*` and plain names are all that the list uses. @param {string} pattern @returns {string[]} */
function expand(pattern) {
  if (!pattern.endsWith('/*')) return [join(root, pattern)];
  const group = join(root, pattern.slice(0, -2));
  return existsSync(group) ? readdirSync(group).map((name) => join(group, name)) : [];
}

/** @param {string} folder @returns {string[]} */
function filesUnder(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** Changes when a file appears, goes, or is written. @param {string[]} files */
function fingerprint(files) {
  const hash = createHash('sha256').update(process.version);
  for (const file of files) {
    const stats = statSync(file, { throwIfNoEntry: false });
    hash.update(`${relative(root, file)} ${stats?.mtimeMs} ${stats?.size}\n`);
  }
  return hash.digest('hex');
}

/** What was done last, and for which inputs. @param {string} name */
function stampFile(name) {
  const file = join(root, 'node_modules', '.cache', 'shoal', `${name}.stamp`);
  return {
    read: () => (existsSync(file) ? readFileSync(file, 'utf8') : undefined),
    write(/** @type {string} */ value) {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, value);
    },
  };
}

if (isMain(import.meta.url)) {
  showHelp('node scripts/bootstrap.mjs', 'Installs packages and builds, where that is needed.');
  await bootstrap().catch(fail);
}
