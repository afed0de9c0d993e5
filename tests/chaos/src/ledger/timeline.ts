/** Something that happened, by this process's own clock. */
export interface Moment {
  /** Unix milliseconds. */
  readonly at: number;
  readonly what: string;
}

/** What was done to the processes, and what became of them. */
export class Timeline {
  readonly #moments: Moment[] = [];

  add(what: string): void {
    this.#moments.push({ at: Date.now(), what });
  }

  /** What happened from `from` to `to`, in order. */
  between(from: number, to: number): Moment[] {
    return this.#moments.filter(({ at }) => at >= from && at <= to);
  }
}
