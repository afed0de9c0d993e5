import { uniform } from '../sampling/random.ts';

/** Reproducible randomness for tests. */
export class TestRandom {
  readonly #seed: number;
  #drawn = 0;

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** In [0, 1). */
  next(): number {
    return uniform(this.#seed, 0, this.#drawn++);
  }

  /** A whole number from `least` to `most`, both included. */
  integer(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  /** Log-normal around `median`; `sigma` 0.8 gives a long tail. */
  logNormal(median: number, sigma: number): number {
    const normal = Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next());
    return median * Math.exp(sigma * normal);
  }

  tokens(length: number, vocabSize: number): number[] {
    return Array.from({ length }, () => this.integer(0, vocabSize - 1));
  }
}
