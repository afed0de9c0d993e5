/** Looks in a row that found what was not told, while nothing was. */
const DEAF_LOOKS = 2;
/** From one renewal to the next; each that does not help doubles it. */
const SHORTEST_INTERVAL_MS = 10_000;
const LONGEST_INTERVAL_MS = 300_000;

/**
 * When a connection that is there, answers and tells nothing is to be made anew: it may lead to a Redis that is no master
 * any more. Where that does not help (a worker of an earlier commit tells nobody here), it is done ever less often.
 */
export class Deafness {
  #looks = 0;
  #intervalMs = SHORTEST_INTERVAL_MS;
  #renewedAt = Number.NEGATIVE_INFINITY;
  /** Something was told since, or nothing was tried yet. */
  #helped = true;

  /** Something was told. */
  told(): void {
    this.#looks = 0;
    this.#intervalMs = SHORTEST_INTERVAL_MS;
    this.#helped = true;
  }

  /** Requests were looked up at `now` (milliseconds); true if the connection is to be made anew. */
  looked(now: number, foundUntold: boolean): boolean {
    this.#looks = foundUntold ? this.#looks + 1 : 0;
    if (this.#looks < DEAF_LOOKS || now - this.#renewedAt < this.#intervalMs) return false;
    if (!this.#helped) this.#intervalMs = Math.min(2 * this.#intervalMs, LONGEST_INTERVAL_MS);
    this.#helped = false;
    this.#renewedAt = now;
    this.#looks = 0;
    return true;
  }
}
