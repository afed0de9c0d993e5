import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../../scripts/system/ports.mjs';
import { treeOf } from './process-tree.ts';

const STOP_MS = 15_000;
const QUOTED_CHARACTERS = 1_500;

export interface ServerOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Answers 2xx once the server can serve; the port is PORT in its environment. */
  readonly readyPath: string;
  readonly readyMs: number;
  /** Name of the variable that gives the server its port. Default PORT. */
  readonly portName?: string;
}

/** Roots of what runs: they end with this process, however it ends short of SIGKILL. */
const running = new Set<number>();
process.on('exit', () => killAll(treeOf([...running])));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));

/** A server in a process of its own. */
export class ServerProcess {
  readonly url: string;
  readonly pid: number;
  readonly #process: ChildProcess;

  private constructor(url: string, pid: number, child: ChildProcess) {
    this.url = url;
    this.pid = pid;
    this.#process = child;
  }

  /** Starts it and waits until it is ready; rejects with the end of what it wrote when it does not get there. */
  static async start(options: ServerOptions): Promise<ServerProcess> {
    const { PATH = '', HOME = '' } = process.env;
    const port = await freePort();
    const child = spawn(options.command, options.args, {
      env: { PATH, HOME, ...options.env, [options.portName ?? 'PORT']: String(port) },
      ...(options.cwd !== undefined && { cwd: options.cwd }),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let written = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        written = (written + text).slice(-QUOTED_CHARACTERS);
      });
    }
    const failed = once(child, 'error').then(([error]) => Promise.reject(error));
    failed.catch(() => {});
    const { pid } = child;
    if (pid === undefined) return failed;
    running.add(pid);
    const server = new ServerProcess(`http://127.0.0.1:${port}`, pid, child);
    const late = performance.now() + options.readyMs;
    while (!(await isReady(`${server.url}${options.readyPath}`))) {
      const reason =
        child.exitCode !== null
          ? `ended with code ${child.exitCode}`
          : performance.now() > late
            ? `was not ready within ${options.readyMs / 1000} s`
            : undefined;
      if (reason !== undefined) {
        await server.close();
        throw new Error(`${options.args.join(' ')} ${reason}: ${written}`);
      }
      await sleep(100);
    }
    return server;
  }

  /** Asks it to end, then ends it and what it started. */
  async close(): Promise<void> {
    const tree = treeOf([this.pid]);
    const ended = this.#process.exitCode === null ? once(this.#process, 'exit') : Promise.resolve();
    this.#process.kill('SIGTERM');
    await Promise.race([ended, sleep(STOP_MS, undefined, { ref: false })]);
    killAll(tree);
    running.delete(this.pid);
  }
}

function killAll(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended.
    }
  }
}

async function isReady(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}
