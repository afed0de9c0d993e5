/** A running sequence may wait this many decode steps for one pass of somebody else's prefill. */
const STALL_STEPS = 3;
/** … or this long, which nobody notices: small models would otherwise prefill a handful of tokens at a time. */
const STALL_MS = 10;
const SMALLEST = 16;
/** Until a prefill and a decode step were measured. */
const UNKNOWN = 128;
/** Weight of the newest measurement. */
const NEWEST = 0.2;

/** How many prompt tokens a pass may compute while others decode, learnt from how long passes take. */
export class ChunkSizer {
  #most: number;
  #decodeMs: number | undefined;
  #tokenMs: number | undefined;

  /** @param most tokens in a pass at most, whatever was measured */
  constructor(most: number) {
    this.#most = most;
  }

  get tokens(): number {
    if (this.#decodeMs === undefined || !this.#tokenMs) return Math.min(UNKNOWN, this.#most);
    const fitting = Math.floor(Math.max(STALL_MS, STALL_STEPS * this.#decodeMs) / this.#tokenMs);
    return Math.min(this.#most, Math.max(SMALLEST, fitting));
  }

  /** From now on, tokens in a pass at most. */
  bound(most: number): void {
    this.#most = most;
  }

  decoded(durationMs: number): void {
    this.#decodeMs = blend(this.#decodeMs, durationMs);
  }

  /** @param tokens padding included */
  prefilled(tokens: number, durationMs: number): void {
    // A short pass is dominated by what every pass costs, and says little about a long one.
    if (tokens >= SMALLEST) this.#tokenMs = blend(this.#tokenMs, durationMs / tokens);
  }
}

function blend(average: number | undefined, newest: number): number {
  return average === undefined ? newest : average + NEWEST * (newest - average);
}
