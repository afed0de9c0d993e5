import type { BatchTrigger } from '@shoal/protocol';
import { type SlotMove, SlotTable } from './kv-cache/slot-table.ts';
import { type Decision, planSequences, type Scheduler, type SchedulerLimits, type StepPlan } from './scheduler.ts';
import type { Sequence } from './sequence.ts';

/**
 * Static batching: fill up to the batch size or until the oldest has waited long enough, prefill once, decode
 * together to the end. Rows that finish drop out; nobody joins.
 */
export class StaticScheduler implements Scheduler {
  readonly #limits: SchedulerLimits;
  readonly #slots: SlotTable;
  #queue: Sequence[] = [];
  #batches = 0;
  #closing = false;

  constructor(limits: SchedulerLimits) {
    this.#limits = limits;
    this.#slots = new SlotTable(limits.maxBatchSize);
  }

  get waiting(): number {
    return this.#queue.length;
  }

  get running(): number {
    return this.#slots.size;
  }

  add(sequence: Sequence): void {
    this.#queue.push(sequence);
  }

  fork(from: Sequence, sequence: Sequence): void {
    if (this.#slots.free === 0) {
      this.add(sequence);
      return;
    }
    sequence.state = 'running';
    this.#slots.fork(from, sequence);
  }

  remove(sequence: Sequence): void {
    if (sequence.slot === undefined) this.#queue = this.#queue.filter((waiting) => waiting !== sequence);
    else this.#slots.release(sequence);
  }

  schedule(now: number): Decision {
    if (this.#slots.size > 0)
      return { type: 'run', plan: { phase: 'decode', rows: [...this.#slots.rows], behind: 0 }, preempted: [] };
    const [oldest] = this.#queue;
    if (oldest === undefined) return { type: 'idle' };
    const batch = this.#fill();
    const full = batch.length === this.#limits.maxBatchSize || batch.length < this.#queue.length;
    if (full) return this.#start(batch, 'full');
    const until = oldest.arrivedAt + this.#limits.maxQueueDelayMs;
    if (now >= until) return this.#start(batch, 'delay');
    if (this.#closing) return this.#start(batch, 'closing');
    return { type: 'wait', until };
  }

  ran(plan: StepPlan): void {
    if (plan.phase === 'prefill') for (const { sequence } of plan.rows) this.#slots.promote(sequence);
  }

  failed(plan: StepPlan): readonly Sequence[] {
    return planSequences(plan);
  }

  takeMoves(): SlotMove[] {
    return this.#slots.takeMoves();
  }

  takeFreed(): number[] {
    return this.#slots.takeFreed();
  }

  close(): void {
    this.#closing = true;
  }

  /** The longest head of the queue that fits the batch: in rows, and in tokens once padded to its longest prompt. */
  #fill(): Sequence[] {
    const batch: Sequence[] = [];
    let longest = 0;
    for (const sequence of this.#queue) {
      longest = Math.max(longest, sequence.promptTokenIds.length);
      const tokens = longest * (batch.length + 1);
      if (batch.length > 0 && tokens > this.#limits.maxBatchTokens) break;
      batch.push(sequence);
      if (batch.length === this.#limits.maxBatchSize) break;
    }
    return batch;
  }

  #start(batch: Sequence[], trigger: BatchTrigger): Decision {
    this.#queue = this.#queue.slice(batch.length);
    this.#batches += 1;
    for (const sequence of batch) {
      sequence.state = 'running';
      this.#slots.take(sequence);
    }
    const rows = batch.map((sequence) => ({ sequence, from: 0, to: sequence.promptTokenIds.length }));
    return { type: 'run', plan: { phase: 'prefill', rows, batchId: this.#batches, trigger }, preempted: [] };
  }
}
