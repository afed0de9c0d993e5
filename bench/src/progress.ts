/** Milliseconds between two lines where the terminal cannot rewrite one. */
const LINE_EVERY_MS = 30_000;

/** Tells on stderr how far a comparison is and about how long it still takes. */
export class Progress {
  readonly #what: string;
  readonly #rounds: number;
  readonly #startedAt: number = performance.now();
  #toldAt: number = performance.now();

  constructor(what: string, rounds: number) {
    this.#what = what;
    this.#rounds = rounds;
  }

  /** @param done rounds that are over */
  tell(done: number): void {
    const now = performance.now();
    const seconds = Math.ceil(((now - this.#startedAt) / done) * (this.#rounds - done) * 1e-3);
    const line = `  ${this.#what}: round ${done} of ${this.#rounds}, about ${seconds} s left`;
    if (process.stderr.isTTY) process.stderr.write(done < this.#rounds ? `\r${line}\u001b[K` : '\r\u001b[K');
    else if (now - this.#toldAt > LINE_EVERY_MS) {
      this.#toldAt = now;
      process.stderr.write(`${line}\n`);
    }
  }
}
