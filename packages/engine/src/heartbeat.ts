import type { Clock } from './clock.ts';

/** What a beat says of the next one: at once, not before a time (Unix milliseconds), or when something comes. */
export type Beat = 'again' | { until: number } | 'rest';

/** Calls `beat` again and again while there is work, and leaves the event loop a turn in between. */
export class Heartbeat {
  readonly #beat: () => Promise<Beat>;
  readonly #clock: Clock;
  #running: Promise<void> | undefined;
  /** Something came since the last beat began. */
  #stirred = false;
  #cancelTimer: (() => void) | undefined;

  constructor(beat: () => Promise<Beat>, clock: Clock) {
    this.#beat = beat;
    this.#clock = clock;
  }

  /** Something came: beats if it is at rest. */
  stir(): void {
    this.#stirred = true;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#running ??= this.#run();
  }

  /** Resolves at the next rest, and forgets the timer it may have left. */
  async stop(): Promise<void> {
    await this.#running;
    this.#cancelTimer?.();
  }

  async #run(): Promise<void> {
    let next: Beat;
    do {
      await this.#clock.turn();
      this.#stirred = false;
      next = await this.#beat();
    } while (next === 'again' || this.#stirred);
    this.#running = undefined;
    if (next === 'rest') return;
    const delay = Math.max(0, next.until - this.#clock.now());
    this.#cancelTimer = this.#clock.after(delay, () => this.stir());
  }
}
