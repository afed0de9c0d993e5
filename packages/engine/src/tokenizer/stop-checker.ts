/**
 * Watches text for stop strings, across the borders of tokens. Text that may still turn out to be the beginning of
 * a stop string is held back.
 */
export class StopChecker {
  readonly #stops: readonly string[];
  #held = '';
  #stopped = false;

  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** True once a stop string was met; nothing is released after that. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Takes new text, returns what is certain to belong to the answer. */
  push(text: string): string {
    if (this.#stopped) return '';
    if (this.#stops.length === 0) return text;
    const seen = this.#held + text;
    const met = Math.min(...this.#stops.map((stop) => seen.indexOf(stop)).filter((index) => index >= 0));
    this.#stopped = met !== Number.POSITIVE_INFINITY;
    const certain = this.#stopped ? met : seen.length - this.#undecided(seen);
    this.#held = this.#stopped ? '' : seen.slice(certain);
    return seen.slice(0, certain);
  }

  /** What was held back, when no more text comes. */
  flush(): string {
    const held = this.#held;
    this.#held = '';
    return held;
  }

  /** Length of the longest end of `seen` with which a stop string begins. */
  #undecided(seen: string): number {
    const longest = Math.max(0, ...this.#stops.map((stop) => stop.length - 1));
    for (let length = Math.min(longest, seen.length); length > 0; length--) {
      const end = seen.slice(-length);
      if (this.#stops.some((stop) => stop.startsWith(end))) return length;
    }
    return 0;
  }
}
