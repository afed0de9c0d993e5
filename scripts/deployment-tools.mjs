// The programs that deployment files are checked with, daemons not needed: from PATH, or Debian's packages extracted
// into the cache folder.
import { runCommand } from './system/bounded.mjs';
import { extractDebianPackages, extracted, hasDebianPackages } from './system/debian-package.mjs';
import { onPath } from './system/on-path.mjs';

/**
 * A program and how to see that it is one we can use.
 * @typedef {object} Tool
 * @property {string[][]} commands Tried in this order.
 * @property {string[]} versionArgs
 * @property {RegExp} version Must match what it then prints.
 * @property {import('./system/debian-package.mjs').Wanted} debian Static programs of a release that has them all.
 */

const SUITE = 'trixie';

/** @type {Tool} */
const DOCKER_COMPOSE = {
  commands: [['docker', 'compose'], ['docker-compose']],
  versionArgs: ['version', '--short'],
  version: /^v?([2-9]|\d{2,})\./m,
  debian: {
    packages: ['docker-compose'],
    folder: 'docker-compose',
    program: 'usr/libexec/docker/cli-plugins/docker-compose',
    suite: SUITE,
  },
};

/** @type {Tool} */
const PROMTOOL = {
  commands: [['promtool']],
  versionArgs: ['--version'],
  version: /promtool, version ([2-9]|\d{2,})\./,
  debian: { packages: ['promtool'], folder: 'promtool', program: 'usr/bin/promtool', suite: SUITE },
};

/** @type {Tool} */
const PROMETHEUS = {
  commands: [['prometheus']],
  versionArgs: ['--version'],
  version: /prometheus, version ([2-9]|\d{2,})\./,
  debian: { packages: ['prometheus'], folder: 'prometheus', program: 'usr/bin/prometheus', suite: SUITE },
};

/** @type {Tool} */
const KUBECTL = {
  commands: [['kubectl']],
  versionArgs: ['version', '--client'],
  version: /Kustomize Version: v([5-9]|\d{2,})\./,
  debian: { packages: ['kubectl'], folder: 'kubectl', program: 'usr/bin/kubectl', suite: SUITE },
};

/** `docker compose` 2 or newer. Like the others: the command line, or undefined when none can be had. */
export const findDockerCompose = () => find(DOCKER_COMPOSE);
export const findPromtool = () => find(PROMTOOL);
export const findPrometheus = () => find(PROMETHEUS);
/** kubectl, for its kustomize. */
export const findKubectl = () => find(KUBECTL);

/** @param {Tool} tool @returns {Promise<string[] | undefined>} */
async function find(tool) {
  for (const command of tool.commands) {
    if (command[0] && onPath(command[0]) && (await isUsable(command, tool))) return command;
  }
  const cached = extracted(tool.debian);
  if (cached) return [cached.path];
  if (!hasDebianPackages() || (await extractDebianPackages(tool.debian)) !== undefined) return undefined;
  const fresh = extracted(tool.debian);
  return fresh && (await isUsable([fresh.path], tool)) ? [fresh.path] : undefined;
}

/** @param {string[]} command @param {Tool} tool */
async function isUsable([program = '', ...args], tool) {
  const { code, output } = await runCommand(program, [...args, ...tool.versionArgs], { limitMs: 10_000 });
  return code === 0 && tool.version.test(output);
}
