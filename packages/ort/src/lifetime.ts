import { OrtError } from './ort-error.ts';

/**
 * When a native object may be used and when it is freed. `dispose` ends its use at once; the memory itself goes then
 * too, or, where a run in progress or a dependent object holds a pin, with the last pin.
 */
export class Lifetime {
  readonly #what: string;
  readonly #release: () => void;
  #disposed = false;
  #pins = 0;

  /** `what` names the object in errors; `release` frees it and is called once. */
  constructor(what: string, release: () => void) {
    this.#what = what;
    this.#release = release;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** @throws OrtError `disposed` */
  assertAlive(): void {
    if (this.#disposed) throw new OrtError('disposed', `${this.#what} was used after it was disposed`);
  }

  pin(): void {
    this.assertAlive();
    this.#pins++;
  }

  unpin(): void {
    this.#pins--;
    if (this.#disposed && this.#pins === 0) this.#release();
  }

  /** Idempotent. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (this.#pins === 0) this.#release();
  }
}
