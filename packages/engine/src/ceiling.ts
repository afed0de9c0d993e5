/** Steps that must succeed before one row more is tried again. */
const STEPS_TO_RISE = 1000;

/** How many rows may decode together, learnt from runs that failed: memory may be short where nobody said so. */
export class Ceiling {
  readonly #most: number;
  #rows: number;
  #succeeded = 0;

  constructor(most: number) {
    this.#most = most;
    this.#rows = most;
  }

  get rows(): number {
    return this.#rows;
  }

  /** A run of this many rows failed, and half of them are to be tried. */
  failed(rows: number): void {
    this.#rows = Math.max(1, Math.floor(rows / 2));
    this.#succeeded = 0;
  }

  /** Copies between rows fail: the fewer rows, the fewer there are; a lone row needs none. */
  copyFailed(): void {
    this.failed(this.#rows);
  }

  /** A single row failed, so that it was the row and not their number: as many as worked before may come back. */
  clear(): void {
    this.#rows = this.#most;
  }

  succeeded(): void {
    if (this.#rows === this.#most || ++this.#succeeded < STEPS_TO_RISE) return;
    this.#rows += 1;
    this.#succeeded = 0;
  }
}
