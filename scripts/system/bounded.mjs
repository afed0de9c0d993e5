// Waits that end: every one of them has a limit.
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Asks `condition` until it holds. Resolves to whether it held within the limit.
 * @param {() => boolean | Promise<boolean>} condition
 * @param {{ limitMs: number, everyMs: number }} bounds
 * @returns {Promise<boolean>}
 */
export async function waitUntil(condition, { limitMs, everyMs }) {
  const end = performance.now() + limitMs;
  for (;;) {
    if (await condition()) return true;
    if (performance.now() >= end) return false;
    await sleep(everyMs);
  }
}

/**
 * @typedef {object} CommandResult
 * @property {number | null} code Exit code; null when the command could not be run or was ended at the limit.
 * @property {string} output stdout and stderr together, at most the last 64 KiB.
 */

/**
 * Runs a command to its end, or kills it (and what it started) at the limit. Never rejects.
 * @param {string} command
 * @param {string[]} args
 * @param {{ limitMs: number, cwd?: string, env?: NodeJS.ProcessEnv, inherit?: boolean }} options `inherit` shows the
 *   output instead of keeping it.
 * @returns {Promise<CommandResult>}
 */
export function runCommand(command, args, { limitMs, cwd, env, inherit = false }) {
  return new Promise((resolve) => {
    let output = '';
    const keep = (/** @type {Buffer} */ chunk) => {
      output = (output + chunk.toString()).slice(-65_536);
    };
    const child = spawn(command, args, {
      ...(cwd === undefined ? {} : { cwd }),
      env: env ?? process.env,
      stdio: inherit ? 'inherit' : ['ignore', 'pipe', 'pipe'],
      // A group of its own, so that the limit reaches grandchildren; but what shares our terminal stays in our group,
      // so that Ctrl-C reaches it.
      detached: !inherit,
    });
    const end = () => {
      try {
        if (child.pid !== undefined) process.kill(inherit ? child.pid : -child.pid, 'SIGKILL');
      } catch {
        // It ended by itself meanwhile.
      }
    };
    // What we started does not outlive us, whatever ends us first.
    process.once('exit', end);
    const settle = (/** @type {CommandResult} */ result) => {
      clearTimeout(timer);
      process.removeListener('exit', end);
      resolve(result);
    };
    const timer = setTimeout(() => {
      keep(Buffer.from(`\n(ended after ${Math.round(limitMs / 1000)} s)`));
      end();
    }, limitMs);
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    child.once('error', (error) => settle({ code: null, output: error.message }));
    child.once('close', (code) => settle({ code, output }));
  });
}
