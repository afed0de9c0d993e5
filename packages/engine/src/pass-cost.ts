/** Weight of a pass after the next one: some ten passes are remembered. */
const FORGETTING = 0.9;
/** A pass that took so many times longer, or shorter, than expected was held up by something else: it says little. */
const OUTLIER = 2;
/** Variance of positions, in positions squared, below which passes say little about how cost grows with position. */
const NARROW = 100 ** 2;
/** What a token costs at the start of a prompt is at least this share of what it costs on average. */
const LEAST_SHARE = 0.3;

/**
 * What a token of a prompt costs, learnt from passes: attention looks back, so it costs more the further behind it
 * stands. A straight line through milliseconds per token over position, of least squares in which old passes fade.
 */
export class PassCost {
  /** Sums over passes, faded: of weights, positions, costs, and of products of the two. */
  #weights = 0;
  #x = 0;
  #y = 0;
  #xx = 0;
  #xy = 0;

  /** Whether any pass was measured. */
  get known(): boolean {
    return this.#weights > 0;
  }

  /** @param past positions of the prompt that stand before the tokens */
  learn(tokens: number, past: number, durationMs: number): void {
    const x = past + tokens / 2;
    const expected = this.#tokenMs(x);
    const measured = durationMs / tokens;
    const y = this.known ? Math.min(OUTLIER * expected, Math.max(expected / OUTLIER, measured)) : measured;
    const fade = (sum: number, value: number): number => FORGETTING * sum + tokens * value;
    this.#weights = fade(this.#weights, 1);
    this.#x = fade(this.#x, x);
    this.#y = fade(this.#y, y);
    this.#xx = fade(this.#xx, x * x);
    this.#xy = fade(this.#xy, x * y);
  }

  /** The most tokens behind `past` positions that a pass computes within `budgetMs`; not rounded. */
  tokensWithin(budgetMs: number, past: number): number {
    if (budgetMs <= 0) return 0;
    // n tokens cost n · (cost at past + n / 2 · slope).
    const linear = this.#tokenMs(past);
    const square = this.#slope / 2;
    if (linear === 0) return Number.POSITIVE_INFINITY;
    return (2 * budgetMs) / (linear + Math.sqrt(linear * linear + 4 * square * budgetMs));
  }

  /** Milliseconds of a token at a position. */
  #tokenMs(position: number): number {
    if (!this.known) return 0;
    const mean = this.#y / this.#weights;
    return Math.max(LEAST_SHARE * mean, mean + this.#slope * (position - this.#x / this.#weights));
  }

  /** Milliseconds per position. */
  get #slope(): number {
    if (!this.known) return 0;
    const [x, y] = [this.#x / this.#weights, this.#y / this.#weights];
    const variance = this.#xx / this.#weights - x * x;
    const covariance = this.#xy / this.#weights - x * y;
    return Math.max(0, covariance / (variance + NARROW));
  }
}
