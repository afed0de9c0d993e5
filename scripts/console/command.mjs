// What every command line here has in common.
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { bold, CROSS, say } from './terminal.mjs';

/** Whether this module is the program that was started. @param {string} moduleUrl */
export function isMain(moduleUrl) {
  return process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(moduleUrl);
}

/**
 * Answers `--help` and ends the process; otherwise does nothing.
 * @param {string} usage
 * @param {string} purpose
 * @param {[flag: string, meaning: string][]} [flags]
 */
export function showHelp(usage, purpose, flags = []) {
  if (!process.argv.includes('--help') && !process.argv.includes('-h')) return;
  say(`${bold(usage)}\n\n${purpose}`);
  const rows = /** @type {[string, string][]} */ ([...flags, ['--help', 'this text']]);
  const size = Math.max(...rows.map(([flag]) => flag.length));
  say(`\n${rows.map(([flag, meaning]) => `  ${flag.padEnd(size)}  ${meaning}`).join('\n')}`);
  process.exit(0);
}

/**
 * Refuses arguments that nobody would read.
 * @param {string[]} known
 */
export function onlyKnownFlags(known) {
  const unknown = process.argv.slice(2).filter((argument) => !known.includes(argument.split('=')[0] ?? ''));
  if (unknown.length > 0) fail(new Error(`unknown argument ${unknown.join(' ')}; --help lists what there is`));
}

/**
 * Says what went wrong, without a stack that nobody asked for, and ends the process.
 * @param {unknown} error
 * @returns {never}
 */
export function fail(error) {
  process.stderr.write(`\n${CROSS} ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
