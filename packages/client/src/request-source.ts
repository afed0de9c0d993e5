import { atMost } from './abort.ts';
import type { ShoalRequest } from './request.ts';

/** Longest that whoever brings requests may take to tidy up, ms. */
const CLOSING_LIMIT_MS = 5_000;

/** The requests of a batch as they are asked for; as a `for await` would, it says to whoever brings them that it left. */
export class RequestSource {
  readonly #iterator: Iterator<ShoalRequest> | AsyncIterator<ShoalRequest>;
  /** A request is asked for, and has not come. */
  #asked = false;
  /** There are no more, or none can be had. */
  #over = false;

  constructor(requests: Iterable<ShoalRequest> | AsyncIterable<ShoalRequest>) {
    this.#iterator = Symbol.asyncIterator in requests ? requests[Symbol.asyncIterator]() : requests[Symbol.iterator]();
  }

  async next(): Promise<IteratorResult<ShoalRequest>> {
    this.#asked = true;
    try {
      const arrival = await this.#iterator.next();
      this.#over = arrival.done === true;
      return arrival;
    } catch (error) {
      this.#over = true;
      throw error;
    } finally {
      this.#asked = false;
    }
  }

  /** Resolves in bounded time; what goes wrong in it concerns nobody any more. */
  async close(): Promise<void> {
    if (this.#over) return;
    const closing = this.#return();
    // A generator ends only after what it was asked for last, which may never come.
    if (!this.#asked) await atMost(CLOSING_LIMIT_MS, closing);
  }

  async #return(): Promise<void> {
    try {
      await this.#iterator.return?.();
    } catch {}
  }
}
