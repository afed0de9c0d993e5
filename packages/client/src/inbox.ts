import { orAborted } from './abort.ts';

/**
 * What many bring and one takes, in the order in which it came. In place of a race of all who may bring something: that
 * would, at every turn, leave a listener behind with the slowest, and keep alive what was taken meanwhile.
 */
export class Inbox<T> {
  readonly #items: T[] = [];
  #wake: () => void = () => {};

  put(item: T): void {
    this.#items.push(item);
    this.#wake();
  }

  /** The next one, as soon as there is one; rejects with `cancelled` when the signal is aborted. */
  async take(signal: AbortSignal): Promise<T> {
    for (;;) {
      const filled = new Promise<void>((resolve) => {
        this.#wake = resolve;
        if (this.#items.length > 0) resolve();
      });
      await orAborted(filled, signal);
      const item = this.#items.shift();
      if (item !== undefined) return item;
    }
  }
}
