import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Timeline } from '../ledger/timeline.ts';
import type { Link } from './link.ts';

const READY_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 45_000;
/** A supervisor starts a process again after this long, as an orchestrator would. */
const RESTART_DELAY_MS = 500;

export interface MemberOptions {
  /** `api-1`, `worker-3`, `board`. */
  name: string;
  app: 'api' | 'worker' | 'board';
  main: string;
  /** Arguments of node before `main`. */
  nodeArgs: readonly string[];
  env: Readonly<Record<string, string>>;
  /** Of its HTTP port. */
  url: string;
  readyPath: string;
  link: Link;
  /** Folder for its log and for the preload's control files. */
  folder: string;
  timeline: Timeline;
}

/** One process of the cluster, which is started again whenever it ends, until `stop`. */
export class Member {
  readonly name: string;
  readonly app: 'api' | 'worker' | 'board';
  readonly url: string;
  readonly link: Link;
  readonly logFile: string;
  readonly #options: MemberOptions;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  #stopping = false;
  /** How often it was started. */
  starts = 0;

  constructor(options: MemberOptions) {
    this.#options = options;
    this.name = options.name;
    this.app = options.app;
    this.url = options.url;
    this.link = options.link;
    mkdirSync(options.folder, { recursive: true });
    this.logFile = join(options.folder, 'output.log');
    this.#start();
  }

  get pid(): number | undefined {
    const child = this.#child;
    return child !== undefined && child.exitCode === null && child.signalCode === null ? child.pid : undefined;
  }

  /** Sends a signal to the process as it is now; false when it is not running. */
  signal(signal: NodeJS.Signals): boolean {
    return this.pid !== undefined && this.#child?.kill(signal) === true;
  }

  /** Writes a control file of the preload, or removes it. */
  control(name: 'hang' | 'hung' | 'clock', content: string | undefined): void {
    const file = this.#controlFile(name);
    if (content === undefined) rmSync(file, { force: true });
    else writeFileSync(file, content);
  }

  /** The engine's thread is in the call that does not return. */
  get hung(): boolean {
    return existsSync(this.#controlFile('hung'));
  }

  #controlFile(name: string): string {
    return join(this.#options.folder, name);
  }

  /** Resolves once the process, or the one that follows it, answers that it is ready. */
  async ready(): Promise<void> {
    const until = Date.now() + READY_LIMIT_MS;
    while (!(await this.isReady())) {
      if (Date.now() > until)
        throw new Error(`${this.name} was not ready in ${READY_LIMIT_MS} ms:\n${this.lastLines()}`);
      await sleep(50);
    }
  }

  async isReady(): Promise<boolean> {
    if (this.pid === undefined) return false;
    return await fetch(this.url + this.#options.readyPath, { signal: AbortSignal.timeout(2_000) }).then(
      async (response) => {
        await response.body?.cancel();
        return response.status === 200;
      },
      () => false,
    );
  }

  /** Resolves when the process that runs now has ended. */
  exited(): Promise<void> {
    return this.#ended;
  }

  /** Ends it for good. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.signal('SIGCONT');
    this.signal('SIGTERM');
    const insist = setTimeout(() => this.signal('SIGKILL'), STOP_LIMIT_MS);
    await this.#ended;
    clearTimeout(insist);
    await this.link.close();
  }

  lastLines(count: number = 20): string {
    return readFileSync(this.logFile, 'utf8').trimEnd().split('\n').slice(-count).join('\n');
  }

  #start(): void {
    const { main, nodeArgs, env, timeline } = this.#options;
    const { PATH = '', HOME = '' } = process.env;
    const output = openSync(this.logFile, 'a');
    const child = spawn(process.execPath, [...nodeArgs, main], {
      // A clean environment: nothing of the developer's own settings leaks in.
      env: { PATH, HOME, ...env },
      stdio: ['ignore', output, output],
      // Ctrl-C in the terminal is for whoever plays chaos, not for the processes.
      detached: true,
    });
    this.#child = child;
    this.starts += 1;
    this.#ended = new Promise((resolve) => {
      child.once('error', () => resolve());
      child.once('exit', (code, signal) => {
        if (!this.#stopping) timeline.add(`${this.name} ended (${signal ?? `code ${code}`})`);
        resolve();
      });
    });
    void this.#ended.then(async () => {
      await sleep(RESTART_DELAY_MS);
      if (this.#stopping) return;
      // What a process died of does not wait for the next one.
      this.control('hang', undefined);
      this.control('hung', undefined);
      timeline.add(`${this.name} starts again`);
      this.#start();
    });
  }
}
