import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { disableTelemetry, loadOrt } from '@shoal/ort';
import { ShoalError } from '@shoal/protocol';
import type { EngineOptions } from '../engine-options.ts';
import { EventStream } from '../event-stream.ts';
import type { EngineFact } from '../events.ts';
import type {
  EngineEvent,
  EngineModel,
  EngineRequest,
  EngineStats,
  EngineTuning,
  GenerationEngine,
} from '../generation-engine.ts';
import { Observers } from '../observers.ts';
import type { ThreadCommand, ThreadData, ThreadReport, TicketEvent } from './messages.ts';
import { SharedStats } from './shared-stats.ts';

export interface EngineThreadOptions {
  /** Called once when the thread ends without `close()` having been called; everything in flight was rejected. */
  onExit?: (error: ShoalError) => void;
  /** Milliseconds that `close()` waits for the step in progress before it ends the thread anyway. Default 10,000. */
  closeTimeoutMs?: number;
  /** The thread's entry; for tests of its death. */
  entry?: URL;
}

/** Settled when no thread that was started here loads a model. */
let loading: Promise<unknown> = Promise.resolve();

/** The engine on a thread of its own: the event loop of this one stays free while the model runs. */
export class EngineThread implements GenerationEngine {
  readonly model: EngineModel;
  readonly #worker: Worker;
  readonly #stats: SharedStats;
  readonly #options: EngineThreadOptions;
  readonly #streams = new Map<number, EventStream>();
  readonly #observers = new Observers<EngineFact>();
  #tickets = 0;
  #dead: ShoalError | undefined;
  #closing: Promise<void> | undefined;

  readonly #interruptHandle: bigint;

  private constructor(worker: Worker, stats: SharedStats, ready: Ready, options: EngineThreadOptions) {
    this.#worker = worker;
    this.#stats = stats;
    this.#options = options;
    this.#interruptHandle = ready.interruptHandle;
    this.model = ready.model;
    worker.on('message', (report: ThreadReport) => this.#receive(report));
    worker.on('error', (cause) => this.#die(cause));
    worker.on('exit', (code) => this.#die(new Error(`exit code ${code}`)));
  }

  /**
   * Starts the thread and loads the model in it; rejects as `Engine.load` does. Of several that are started together one
   * loads after the other: which attention kernel a session gets is decided by a variable that all threads share.
   */
  static start(options: EngineOptions, threadOptions: EngineThreadOptions = {}): Promise<EngineThread> {
    const started = loading.then(() => EngineThread.#start(options, threadOptions));
    loading = started.catch(() => {});
    return started;
  }

  static async #start(options: EngineOptions, threadOptions: EngineThreadOptions): Promise<EngineThread> {
    disableTelemetry();
    const stats = new SharedStats();
    const workerData: ThreadData = { options, stats: stats.memory };
    const worker = new Worker(threadOptions.entry ?? new URL('./worker.js', import.meta.url), {
      workerData,
      name: 'shoal-engine',
    });
    return new EngineThread(worker, stats, await loaded(worker), threadOptions);
  }

  /** The step counter in shared memory: one element, readable while the engine thread is inside a run. */
  get stepCounter(): Int32Array {
    return this.#stats.stepCounter;
  }

  /**
   * Ends the run that the thread is in, at its next operator: for a step that takes too long. Its sequences fail with
   * `inference_error`. Resolves to false where the runtime cannot do that, and to nothing better for a device that
   * hangs inside one operator: then only the end of the process helps.
   */
  async interrupt(): Promise<boolean> {
    if (this.#interruptHandle === 0n || this.#gone) return false;
    const ort = await loadOrt();
    if (!ort.capabilities.terminate || this.#gone) return false;
    ort.terminate(this.#interruptHandle);
    return true;
  }

  generate(request: EngineRequest, signal?: AbortSignal): AsyncIterable<EngineEvent> {
    const ticket = ++this.#tickets;
    const stream = new EventStream(() => this.#post({ type: 'abort', ticket }), signal);
    const refusal = this.#dead ?? this.#refusal();
    if (refusal !== undefined) {
      stream.fail(refusal);
      return stream;
    }
    this.#streams.set(ticket, stream);
    this.#post({ type: 'generate', ticket, request });
    stream.watch();
    return stream;
  }

  stats(): EngineStats {
    return this.#stats.read();
  }

  tune(tuning: EngineTuning): void {
    this.#post({ type: 'tune', tuning });
  }

  observe(listener: (fact: EngineFact) => void): () => void {
    return this.#observers.add(listener);
  }

  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  get #gone(): boolean {
    return this.#dead !== undefined || this.#closing !== undefined;
  }

  #refusal(): ShoalError | undefined {
    if (this.#closing === undefined) return undefined;
    return new ShoalError('unavailable', 'the engine is closing: try again elsewhere');
  }

  #receive(report: ThreadReport): void {
    if (report.type !== 'step') return;
    for (const event of report.events) this.#deliver(event);
    for (const fact of report.facts) this.#observers.notify(fact);
  }

  #deliver(event: TicketEvent): void {
    const stream = this.#streams.get(event.ticket);
    if (event.type !== 'tokens') this.#streams.delete(event.ticket);
    if (event.type === 'tokens') stream?.tokens(event.event);
    else if (event.type === 'finished') stream?.finish(event.event);
    else stream?.fail(ShoalError.fromBody(event.error));
  }

  #post(command: ThreadCommand): void {
    if (this.#dead === undefined) this.#worker.postMessage(command);
  }

  /** Once the thread is gone nothing in flight can be answered. */
  #die(cause: Error): void {
    if (this.#dead !== undefined) return;
    this.#dead = new ShoalError('inference_error', `the engine thread ended: ${cause.message}; restart the worker`, {
      cause,
    });
    for (const stream of this.#streams.values()) stream.fail(this.#dead);
    this.#streams.clear();
    if (this.#closing === undefined) this.#options.onExit?.(this.#dead);
  }

  async #shutDown(): Promise<void> {
    const exited = new Promise<void>((resolve) => {
      if (this.#dead !== undefined) resolve();
      else this.#worker.once('exit', () => resolve());
    });
    this.#post({ type: 'close' });
    const timer = setTimeout(() => void this.#worker.terminate(), this.#options.closeTimeoutMs ?? 10_000);
    await exited;
    clearTimeout(timer);
  }
}

type Ready = Extract<ThreadReport, { type: 'ready' }>;

/** The thread's word that the model is loaded. */
async function loaded(worker: Worker): Promise<Ready> {
  const listeners = new AbortController();
  const first = (event: string): Promise<unknown[]> => once(worker, event, { signal: listeners.signal });
  const ended = first('exit').then(([code]) => {
    throw new Error(`exit code ${code}`);
  });
  // `once` rejects on 'error', so a thread that throws while it loads is heard as well.
  const report: ThreadReport = await Promise.race([
    first('message').then(([message]) => message as ThreadReport),
    ended,
  ])
    .catch((cause: Error) => {
      throw new ShoalError('inference_error', `the engine thread did not start: ${cause.message}`, { cause });
    })
    .finally(() => listeners.abort());
  if (report.type === 'ready') return report;
  await worker.terminate();
  if (report.type === 'refused') throw ShoalError.fromBody(report.error);
  throw new ShoalError('inference_error', 'the engine thread did not start: unexpected report');
}
