const SECONDS = 10;

/** Tokens per second over the last ten seconds. */
export class Throughput {
  readonly #now: () => number;
  /** Tokens by second modulo SECONDS, and which second each entry is of. */
  readonly #tokens = new Array<number>(SECONDS).fill(0);
  readonly #seconds = new Array<number>(SECONDS).fill(-1);

  /** `now` is a monotonic clock in milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  add(tokens: number): void {
    const second = Math.floor(this.#now() / 1000);
    const at = second % SECONDS;
    if (this.#seconds[at] !== second) this.#tokens[at] = 0;
    this.#seconds[at] = second;
    this.#tokens[at] = (this.#tokens[at] ?? 0) + tokens;
  }

  get perSecond(): number {
    const oldest = Math.floor(this.#now() / 1000) - SECONDS;
    const counted = this.#tokens.filter((_, at) => (this.#seconds[at] ?? -1) > oldest);
    return counted.reduce((sum, tokens) => sum + tokens, 0) / SECONDS;
  }
}
