import type { EngineStats } from '../generation-engine.ts';

const WAITING = 0;
const RUNNING = 1;
const SLOTS = 2;
const STEPS = 3;
const KV_USED = 4;
const KV_BUDGET = 5;
const FIELDS = 6;

/** Engine statistics in memory that both threads see: readable even while the engine thread hangs in a run. */
export class SharedStats {
  readonly memory: SharedArrayBuffer;
  readonly #fields: Int32Array;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(FIELDS * Int32Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#fields = new Int32Array(memory);
  }

  /** A view on the step counter alone, for those who watch whether it moves. It wraps at 2^31. */
  get stepCounter(): Int32Array {
    return this.#fields.subarray(STEPS, STEPS + 1);
  }

  read(): EngineStats {
    const at = (field: number) => Atomics.load(this.#fields, field);
    return {
      waiting: at(WAITING),
      running: at(RUNNING),
      slots: at(SLOTS),
      steps: at(STEPS),
      kvUsedTokens: at(KV_USED),
      kvBudgetTokens: at(KV_BUDGET),
    };
  }

  write(stats: EngineStats): void {
    Atomics.store(this.#fields, WAITING, stats.waiting);
    Atomics.store(this.#fields, RUNNING, stats.running);
    Atomics.store(this.#fields, SLOTS, stats.slots);
    Atomics.store(this.#fields, STEPS, stats.steps);
    Atomics.store(this.#fields, KV_USED, stats.kvUsedTokens);
    Atomics.store(this.#fields, KV_BUDGET, Math.min(stats.kvBudgetTokens, 2 ** 31 - 1));
  }
}
