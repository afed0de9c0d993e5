import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../../scripts/system/ports.mjs';

/** Clock ticks per second of `/proc`: fixed at 100 on Linux. */
const TICK_MICROS = 10_000;
const START_MS = 20_000;
const HEAP_REPORT = ['--expose-gc', '--import', new URL('heap-report.js', import.meta.url).href];

/** A server in a process of its own, with what it spends, as the kernel counts it. */
export class Served {
  readonly url: string;
  readonly #process: ChildProcess;

  private constructor(url: string, child: ChildProcess) {
    this.url = url;
    this.#process = child;
  }

  /** Starts a script that listens on PORT, and waits until it does. */
  static async start(
    script: string,
    env: Readonly<Record<string, string>>,
    { tellsHeap = false }: { tellsHeap?: boolean } = {},
  ): Promise<Served> {
    const { PATH = '' } = process.env;
    const port = await freePort();
    const child = spawn(process.execPath, [...(tellsHeap ? HEAP_REPORT : []), script], {
      env: { PATH, ...env, PORT: String(port) },
      cwd: tmpdir(),
      stdio: ['ignore', 'ignore', 'inherit', ...(tellsHeap ? (['ipc'] as const) : [])],
    });
    const served = new Served(`http://127.0.0.1:${port}`, child);
    const late = performance.now() + START_MS;
    while (!(await fetch(served.url).catch(() => undefined))) {
      if (child.exitCode !== null) throw new Error(`${script} ended with code ${child.exitCode}`);
      if (performance.now() > late) throw new Error(`${script} did not listen within ${START_MS} ms`);
      await sleep(50);
    }
    return served;
  }

  /** Processor time so far in µs, all threads. */
  cpuMicros(): number {
    // Fields behind the command's name, which may hold anything: state is the third, utime and stime 14 and 15.
    const fields = readFileSync(`/proc/${this.#process.pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) * TICK_MICROS;
  }

  /** What its JavaScript heap holds after a full collection, in bytes; of a process that was started to tell it. */
  async heapBytes(): Promise<number> {
    const told = once(this.#process, 'message');
    this.#process.send({});
    const [bytes] = await told;
    return Number(bytes);
  }

  /** Resident memory in bytes. */
  memoryBytes(): number {
    const kb = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.#process.pid}/status`, 'utf8'))?.[1];
    return Number(kb) * 1024;
  }

  async close(): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGTERM');
    await ended;
  }
}
