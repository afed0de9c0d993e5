import type { Sequence } from './sequence.ts';

/** Sequences that wait for a slot, in order of arrival; one that comes back takes its old place. */
export class WaitingLine {
  #sequences: Sequence[] = [];

  get size(): number {
    return this.#sequences.length;
  }

  /** The one that came first. */
  get head(): Sequence | undefined {
    return this.#sequences[0];
  }

  get sequences(): readonly Sequence[] {
    return this.#sequences;
  }

  add(sequence: Sequence): void {
    const behind = this.#sequences.findIndex((waiting) => waiting.ordinal > sequence.ordinal);
    this.#sequences.splice(behind < 0 ? this.#sequences.length : behind, 0, sequence);
  }

  remove(leaving: readonly Sequence[]): void {
    const gone = new Set(leaving);
    this.#sequences = this.#sequences.filter((sequence) => !gone.has(sequence));
  }
}
