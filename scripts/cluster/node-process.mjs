// Child processes whose lines are shown, whose death is noticed, and whose end is bounded.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { waitUntil } from '../system/bounded.mjs';
import { dieWithParent } from '../system/parent.mjs';

const REMEMBERED_LINES = 20;
const KILL_LIMIT_MS = 5_000;

/**
 * @typedef {object} ManagedProcess
 * @property {string} name
 * @property {number | undefined} pid
 * @property {() => boolean} running
 * @property {Promise<string>} ended Resolves once it has ended, to a word on how: "exit code 1", "signal SIGKILL".
 * @property {() => string[]} lastLines The last lines that it wrote.
 * @property {(options: { limitMs: number }) => Promise<void>} stop SIGTERM, and SIGKILL at the limit.
 * @property {() => void} kill SIGKILL, at once.
 */

/**
 * @param {object} options
 * @param {string} options.name
 * @param {string[]} options.args For this Node.
 * @param {NodeJS.ProcessEnv} options.env The whole environment.
 * @param {string} options.cwd
 * @param {(line: string) => void} options.onLine
 * @returns {ManagedProcess}
 */
export function startNode({ name, args, env, cwd, onLine }) {
  const { command, args: wrapped } = dieWithParent(process.execPath, args);
  // Detached: a Ctrl-C in the terminal reaches only us, and we stop everything in order.
  const child = spawn(command, wrapped, { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let running = true;
  /** @type {string[]} */
  const remembered = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      remembered.push(line);
      if (remembered.length > REMEMBERED_LINES) remembered.shift();
      onLine(line);
    });
  }
  const killAtExit = () => child.kill('SIGKILL');
  process.once('exit', killAtExit);
  /** @type {Promise<string>} */
  const ended = new Promise((resolve) => {
    const settle = (/** @type {string} */ how) => {
      running = false;
      process.removeListener('exit', killAtExit);
      resolve(how);
    };
    child.once('error', (error) => settle(error.message));
    child.once('close', (code, signal) => settle(signal ? `signal ${signal}` : `exit code ${code}`));
  });
  return {
    name,
    pid: child.pid,
    running: () => running,
    ended,
    lastLines: () => [...remembered],
    kill: () => void child.kill('SIGKILL'),
    async stop({ limitMs }) {
      if (!running) return;
      child.kill('SIGTERM');
      if (await waitUntil(() => !running, { limitMs, everyMs: 10 })) return;
      child.kill('SIGKILL');
      await waitUntil(() => !running, { limitMs: KILL_LIMIT_MS, everyMs: 10 });
    },
  };
}
