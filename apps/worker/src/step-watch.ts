import type { EngineStats } from '@shoal/engine';

const LOOK_INTERVAL_MS = 250;

/** Notices an engine that has work and makes no step: a hung device, which no error reports. */
export class StepWatch {
  readonly #stats: () => EngineStats;
  readonly #timeoutMs: () => number;
  readonly #now: () => number;
  #steps = 0;
  /** When the engine was last seen to step, or to have nothing to do. */
  #movedAt: number;

  /**
   * `stats` must be readable while the engine is inside a step; `now` is a monotonic clock in milliseconds. A batch that
   * fills waits for company before its first step, and `maxQueueDelayMs` may change meanwhile.
   */
  constructor(options: {
    stats: () => EngineStats;
    stepTimeoutMs: number;
    maxQueueDelayMs: () => number;
    now: () => number;
  }) {
    this.#stats = options.stats;
    this.#timeoutMs = () => options.stepTimeoutMs + options.maxQueueDelayMs();
    this.#now = options.now;
    this.#movedAt = this.#now();
  }

  /** False once the engine had work, and made no step, for longer than the timeout. Its jobs' locks are then left to lapse. */
  get alive(): boolean {
    const { steps, waiting, running } = this.#stats();
    const now = this.#now();
    if (steps !== this.#steps || waiting + running === 0) {
      this.#steps = steps;
      this.#movedAt = now;
    }
    return now - this.#movedAt <= this.#timeoutMs();
  }

  /** Looks often; calls `onHung` once. Returns the function that stops it. */
  start(onHung: () => void): () => void {
    const timer = setInterval(() => {
      if (this.alive) return;
      clearInterval(timer);
      onHung();
    }, LOOK_INTERVAL_MS);
    timer.unref();
    return () => clearInterval(timer);
  }
}
