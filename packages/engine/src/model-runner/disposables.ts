/** Frees what it was given, last first, at the end of a `using` block. Node 20 has no DisposableStack of its own. */
export class Disposables implements Disposable {
  readonly #frees: (() => void)[] = [];

  use<T extends Disposable>(value: T): T {
    this.#frees.push(() => value[Symbol.dispose]());
    return value;
  }

  defer(free: () => void): void {
    this.#frees.push(free);
  }

  [Symbol.dispose](): void {
    for (const free of this.#frees.splice(0).reverse()) free();
  }
}
