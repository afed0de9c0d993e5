import type { ActivityEvent } from './activity.ts';

/** Events kept for a watcher that is slower than they come: about five seconds of one worker. */
const MOST_QUEUED = 64;

/** One reader of an {@link ActivityFeed}. What it does not take in time is dropped, the oldest first. */
export class Watcher implements AsyncIterable<ActivityEvent> {
  readonly #queue: ActivityEvent[] = [];
  #closed = false;
  #wake: (() => void) | undefined;

  offer(event: ActivityEvent): void {
    this.#queue.push(event);
    if (this.#queue.length > MOST_QUEUED) this.#queue.shift();
    this.#wake?.();
  }

  close(): void {
    this.#closed = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<ActivityEvent, void, undefined> {
    while (!this.#closed) {
      const event = this.#queue.shift();
      if (event !== undefined) yield event;
      else await this.#untilWoken();
    }
  }

  #untilWoken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
