// Programs out of Debian's packages, without root and without touching the machine's package database.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCommand } from './bounded.mjs';
import { onPath } from './on-path.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/**
 * @typedef {object} Wanted
 * @property {string[]} packages
 * @property {string} folder Name of the cache folder.
 * @property {string} program Path of the program in the package, such as `usr/bin/redis-server`.
 * @property {boolean} [libraries] Also take the libraries that the packages depend on and that are not installed.
 * @property {string} [suite] Another release of Debian, for static programs. Default: this machine's.
 */

/**
 * @typedef {object} Extracted
 * @property {string} path Of the program.
 * @property {Record<string, string>} env What it needs in its environment.
 */

/** @returns {string} Where extracted packages are kept between runs. */
function cacheFolder() {
  const base = process.env.XDG_CACHE_HOME;
  return base ? join(base, 'shoal') : join(root, 'node_modules', '.cache', 'shoal');
}

/** @param {Wanted} wanted @returns {Extracted | undefined} What an earlier run extracted. */
export function extracted({ folder, program }) {
  const tree = join(cacheFolder(), `${folder}-${process.arch}`);
  const path = join(tree, program);
  if (!existsSync(path)) return undefined;
  const lib = join(tree, 'usr', 'lib');
  const libraries = existsSync(lib) ? readdirSync(lib).filter((name) => name.endsWith('-linux-gnu')) : [];
  return { path, env: libraries.length ? { LD_LIBRARY_PATH: libraries.map((name) => join(lib, name)).join(':') } : {} };
}

/** Whether this machine can fetch Debian's packages. */
export function hasDebianPackages() {
  return process.platform === 'linux' && onPath('apt-get') !== undefined && onPath('dpkg') !== undefined;
}

/**
 * Downloads and unpacks into the cache; the tree appears there all at once or not at all. Never rejects.
 * @param {Wanted} wanted
 * @returns {Promise<string | undefined>} What went wrong.
 */
export async function extractDebianPackages(wanted) {
  const folder = join(cacheFolder(), `${wanted.folder}-${process.arch}`);
  let work;
  try {
    mkdirSync(dirname(folder), { recursive: true });
    work = mkdtempSync(`${folder}-`);
    const problem = await downloadAndUnpack(wanted, work);
    if (problem !== undefined) return problem;
    // Where another process was quicker, its copy is as good, and may be in use.
    if (!extracted(wanted)) renameSync(join(work, 'root'), folder);
    return undefined;
  } catch (error) {
    return extracted(wanted) ? undefined : String(error instanceof Error ? error.message : error);
  } finally {
    if (work) rmSync(work, { recursive: true, force: true });
  }
}

/** @param {Wanted} wanted @param {string} work @returns {Promise<string | undefined>} */
async function downloadAndUnpack(wanted, work) {
  for (const name of ['lists/partial', 'cache/archives/partial', 'root', 'debs']) {
    mkdirSync(join(work, name), { recursive: true });
  }
  const apt = [...aptOptions(work), ...(wanted.suite === undefined ? [] : otherSuite(wanted.suite, work))];
  const updated = await runCommand('apt-get', [...apt, 'update'], { limitMs: 120_000 });
  if (updated.code !== 0) return 'apt-get update failed';

  const names = [...wanted.packages, ...(wanted.libraries ? await missingLibraries(apt, wanted.packages) : [])];
  const debs = join(work, 'debs');
  const downloaded = await runCommand('apt-get', [...apt, 'download', ...new Set(names)], {
    limitMs: 180_000,
    cwd: debs,
  });
  if (downloaded.code !== 0) return `apt-get download ${wanted.packages.join(' ')} failed`;
  for (const name of readdirSync(debs)) {
    const unpacked = await runCommand('dpkg', ['-x', join(debs, name), join(work, 'root')], { limitMs: 60_000 });
    if (unpacked.code !== 0) return `dpkg could not unpack ${name}`;
  }
  return undefined;
}

/** Package lists of our own: the machine's are neither needed nor touched. @param {string} work */
function aptOptions(work) {
  return [
    ...['-o', `Dir::State::Lists=${work}/lists`, '-o', `Dir::Cache=${work}/cache`],
    ...['-o', 'Debug::NoLocking=1', '-o', 'APT::Sandbox::User=', '-o', 'Acquire::Retries=2', '-q'],
  ];
}

/**
 * The same archive that this machine uses, but another release of it.
 * @param {string} suite
 * @param {string} work
 */
function otherSuite(suite, work) {
  const folder = '/etc/apt';
  const parts = existsSync(join(folder, 'sources.list.d')) ? readdirSync(join(folder, 'sources.list.d')) : [];
  const files = [join(folder, 'sources.list'), ...parts.map((name) => join(folder, 'sources.list.d', name))];
  const text = files.filter((file) => existsSync(file)).map((file) => readFileSync(file, 'utf8'));
  const archive = /^[^#\n]*?(\S+:\/\/\S+\/debian\/?)(?=\s|$)/m.exec(text.join('\n'))?.[1];
  if (!archive) throw new Error("this machine's package sources name no Debian archive");
  const sources = join(work, 'other.list');
  // With an empty list of installed packages, so that none of them is taken for a newer version.
  const status = join(work, 'status');
  writeFileSync(status, '');
  writeFileSync(sources, `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${archive} ${suite} main\n`);
  return [
    '-o',
    `Dir::Etc::SourceList=${sources}`,
    '-o',
    'Dir::Etc::SourceParts=-',
    '-o',
    `Dir::State::status=${status}`,
  ];
}

/** @param {string[]} apt @param {string[]} packages */
async function missingLibraries(apt, packages) {
  const { output } = await runCommand('apt-cache', [...apt, 'depends', ...packages], { limitMs: 20_000 });
  const dependencies = [...output.matchAll(/^ +Depends: ((?:lib|lua)[a-z0-9.+-]+)$/gm)].map((match) => match[1] ?? '');
  const missing = [];
  for (const name of dependencies) {
    const status = await runCommand('dpkg', ['--status', name], { limitMs: 5_000 });
    if (!status.output.includes('install ok installed')) missing.push(name);
  }
  return missing;
}
