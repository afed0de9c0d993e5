import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { dieWithParent } from '../../scripts/system/parent.mjs';

const LOG_LINES_KEPT = 500;

/** One real process of Shoal under test, with its output kept for the error message. */
export class AppProcess {
  readonly name: string;
  readonly child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #exited: Promise<number>;
  /** Its end is expected: somebody waits for it, or brought it about. */
  #told = false;

  constructor(name: string, main: string, env: Record<string, string>) {
    this.name = name;
    // A clean environment: nothing of the developer's own settings leaks into a test.
    const { PATH = '', HOME = '' } = process.env;
    // A test run that takes too long is killed, and can stop nothing any more.
    const { command, args } = dieWithParent(process.execPath, [main]);
    this.child = spawn(command, args, {
      env: { PATH, HOME, LOG_LEVEL: 'info', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#exited = once(this.child, 'exit').then(([code, signal]) => (signal === null ? Number(code) : -1));
    // 'close' comes when all of its output has.
    this.child.on('close', (code, signal) => {
      const died = !this.#told && code !== 0;
      if (died) console.error(`${name} ended by itself, code ${code}, signal ${signal}:\n${this.output}`);
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      if (stream !== null) createInterface(stream).on('line', (line) => this.#keep(line));
    }
  }

  get output(): string {
    return this.#lines.join('\n');
  }

  /** Resolves with the exit code, −1 after a signal; rejects when the process stays for longer than `timeoutMs`. */
  exitCode(timeoutMs: number): Promise<number> {
    this.#told = true;
    return within(timeoutMs, this.#exited, () => `${this.name} did not exit:\n${this.output}`);
  }

  signal(signal: NodeJS.Signals): void {
    this.#told = true;
    this.child.kill(signal);
  }

  async stop(timeoutMs = 15_000): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.signal('SIGTERM');
    try {
      await this.exitCode(timeoutMs);
    } catch (error) {
      this.signal('SIGKILL');
      throw error;
    }
  }

  /** Resolves once `url` answers 200; rejects, with the output, when the process ends or `timeoutMs` passes. */
  async ready(url: string, timeoutMs = 30_000): Promise<void> {
    const end = Date.now() + timeoutMs;
    for (;;) {
      if (this.child.exitCode !== null) throw new Error(`${this.name} exited before it was ready:\n${this.output}`);
      if (Date.now() > end) throw new Error(`${this.name} was not ready in ${timeoutMs} ms:\n${this.output}`);
      const status = await fetch(url, { signal: AbortSignal.timeout(2000) }).then(
        (response) => response.status,
        () => 0,
      );
      if (status === 200) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  #keep(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length > LOG_LINES_KEPT) this.#lines.shift();
  }
}

async function within<T>(ms: number, promise: Promise<T>, message: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(message())), ms);
  });
  return await Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}
