import type { EngineFact } from '@shoal/engine';
import type { BatchRecord } from '@shoal/protocol';

/** The most recent batches that this worker ran, newest last: what tests and people look at to see batching happen. */
export class BatchLog {
  readonly #capacity: number;
  readonly #batches: BatchRecord[] = [];

  constructor(capacity = 1024) {
    this.#capacity = capacity;
  }

  record(fact: EngineFact): void {
    if (fact.type !== 'batch') return;
    this.#batches.push(fact.batch);
    if (this.#batches.length > this.#capacity) this.#batches.shift();
  }

  recent(): readonly BatchRecord[] {
    return this.#batches;
  }
}
