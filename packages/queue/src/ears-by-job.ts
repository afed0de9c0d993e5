import type { Ear } from './ear.ts';

const NONE: readonly Ear[] = [];

/**
 * The ears of one process, by the job that each follows, and by its own id where that is another: a request that shares a
 * generation may end by itself. Lists are replaced, never changed: whoever goes through one is not disturbed by ears that
 * come and go.
 */
export class EarsByJob {
  readonly #ears = new Map<string, readonly Ear[]>();

  add(ear: Ear): void {
    for (const key of keysOf(ear)) this.#ears.set(key, [...this.of(key), ear]);
  }

  /** False when it was not there. */
  remove(ear: Ear): boolean {
    if (!this.of(ear.jobId).includes(ear)) return false;
    for (const key of keysOf(ear)) {
      const others = this.of(key).filter((other) => other !== ear);
      if (others.length > 0) this.#ears.set(key, others);
      else this.#ears.delete(key);
    }
    return true;
  }

  /** What the list holds now; it stays as it is when ears come and go meanwhile. */
  of(id: string): readonly Ear[] {
    return this.#ears.get(id) ?? NONE;
  }

  all(): Set<Ear> {
    return new Set([...this.#ears.values()].flat());
  }
}

function keysOf({ id, jobId }: Ear): string[] {
  return id === jobId ? [id] : [id, jobId];
}
