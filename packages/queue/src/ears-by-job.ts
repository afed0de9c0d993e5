import type { Ear } from './ear.ts';

const NONE: readonly Ear[] = [];

/**
 * The ears of one process, by the job that each follows. Lists are replaced, never changed: whoever goes through one is
 * not disturbed by ears that come and go.
 */
export class EarsByJob {
  readonly #ears = new Map<string, readonly Ear[]>();

  add(ear: Ear): void {
    this.#ears.set(ear.jobId, [...this.of(ear.jobId), ear]);
  }

  /** False when it was not there. */
  remove(ear: Ear): boolean {
    const ears = this.of(ear.jobId);
    if (!ears.includes(ear)) return false;
    const others = ears.filter((other) => other !== ear);
    if (others.length > 0) this.#ears.set(ear.jobId, others);
    else this.#ears.delete(ear.jobId);
    return true;
  }

  /** What the list holds now; it stays as it is when ears come and go meanwhile. */
  of(jobId: string): readonly Ear[] {
    return this.#ears.get(jobId) ?? NONE;
  }

  all(): readonly Ear[] {
    return [...this.#ears.values()].flat();
  }
}
