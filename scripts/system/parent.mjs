import { onPath } from './on-path.mjs';

/**
 * The same command, arranged to get SIGTERM from the kernel when this process dies, however it dies. Works where
 * util-linux' setpriv exists (any Debian); elsewhere the command is left as it is and only an orderly end stops it.
 * @param {string} command
 * @param {string[]} args
 * @returns {{ command: string, args: string[] }}
 */
export function dieWithParent(command, args) {
  const setpriv = process.platform === 'linux' ? onPath('setpriv') : undefined;
  return setpriv ? { command: setpriv, args: ['--pdeathsig', 'TERM', command, ...args] } : { command, args };
}
