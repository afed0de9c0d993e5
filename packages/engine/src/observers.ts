/** Listeners of facts. A listener that throws harms nobody else. */
export class Observers<Fact> {
  readonly #listeners = new Set<(fact: Fact) => void>();

  /** Returns the function that stops it. */
  add(listener: (fact: Fact) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  notify(fact: Fact): void {
    for (const listener of this.#listeners) {
      try {
        listener(fact);
      } catch (error) {
        // Thrown again outside the step, where the process's own handler sees it.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
