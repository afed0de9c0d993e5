/** Values over the last while, in equal spans of time: what a small chart draws. */
export class Series {
  readonly #spanMs: number;
  readonly #spans: number;
  readonly #merge: (values: readonly number[]) => number;
  readonly #values: (number | undefined)[] = [];
  #collected: number[] = [];
  #index: number;

  /** `merge` makes one value of those that came within one span. */
  constructor(options: { spanMs: number; spans: number; now: number; merge: (values: readonly number[]) => number }) {
    this.#spanMs = options.spanMs;
    this.#spans = options.spans;
    this.#merge = options.merge;
    this.#index = Math.floor(options.now / options.spanMs);
  }

  add(value: number, now: number): void {
    this.advance(now);
    this.#collected.push(value);
  }

  /** Ends the spans that are over. */
  advance(now: number): void {
    const index = Math.floor(now / this.#spanMs);
    if (index <= this.#index) return;
    this.#values.push(this.#collected.length === 0 ? undefined : this.#merge(this.#collected));
    this.#collected = [];
    for (let empty = Math.min(index - this.#index - 1, this.#spans); empty > 0; empty--) this.#values.push(undefined);
    this.#index = index;
    if (this.#values.length > this.#spans) this.#values.splice(0, this.#values.length - this.#spans);
  }

  /** Oldest first, as many as there are spans; undefined where nothing came. */
  get values(): (number | undefined)[] {
    return [...new Array<undefined>(this.#spans - this.#values.length).fill(undefined), ...this.#values];
  }
}

export const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
export const largest = (values: readonly number[]): number => Math.max(...values);

/** The value below which a share `q` of them lies (nearest rank). `values` must not be empty. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN;
}
