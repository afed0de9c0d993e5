import type { BatchTrigger } from '@shoal/protocol';
import { Ceiling } from './ceiling.ts';
import { type SlotMove, SlotTable } from './kv-cache/slot-table.ts';
import {
  type CacheUse,
  type Decision,
  planSequences,
  type Scheduler,
  type SchedulerLimits,
  type StepPlan,
} from './scheduler.ts';
import type { Sequence } from './sequence.ts';

/**
 * Static batching: fill up to the batch size or until the oldest has waited long enough, prefill once, decode
 * together to the end. Rows that finish drop out; nobody joins.
 */
export class StaticScheduler implements Scheduler {
  #limits: SchedulerLimits;
  readonly #slots: SlotTable;
  readonly #ceiling: Ceiling;
  #queue: Sequence[] = [];
  #batches = 0;
  #closing = false;

  constructor(limits: SchedulerLimits) {
    this.#limits = limits;
    this.#slots = new SlotTable(limits.maxBatchSize);
    this.#ceiling = new Ceiling(limits.maxBatchSize);
  }

  get waiting(): number {
    return this.#queue.length;
  }

  get running(): number {
    return this.#slots.size;
  }

  get limits(): SchedulerLimits {
    return this.#limits;
  }

  get cache(): CacheUse {
    const usedTokens = this.#slots.rows.reduce((sum, sequence) => sum + sequence.length, 0);
    return { usedTokens, budgetTokens: undefined };
  }

  tune(limits: SchedulerLimits): void {
    this.#limits = limits;
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
    const full = batch.length === this.#mostRows || batch.length < this.#queue.length;
    if (full) return this.#start(batch, 'full');
    const until = oldest.arrivedAt + this.#limits.maxQueueDelayMs;
    // Those that ran already, in a batch that failed, have waited enough.
    if (now >= until || oldest.startedAt > 0) return this.#start(batch, 'delay');
    if (this.#closing) return this.#start(batch, 'closing');
    return { type: 'wait', until };
  }

  ran(plan: StepPlan): void {
    this.#ceiling.succeeded();
    if (plan.phase === 'prefill') for (const { sequence } of plan.rows) this.#slots.promote(sequence);
  }

  /**
   * Half of a batch that decodes goes on, and the other half runs after it, its tokens replayed; a prefill of several
   * begins anew in halves. So one that cannot be computed is alone in the end.
   */
  failed(plan: StepPlan): readonly Sequence[] {
    const sequences = planSequences(plan);
    if (sequences.length === 1) {
      this.#ceiling.clear();
      return sequences;
    }
    this.#ceiling.failed(sequences.length);
    const later = plan.phase === 'prefill' ? sequences : sequences.slice(this.#ceiling.rows);
    // From the last row up, so that no row has to move.
    for (const sequence of [...later].reverse()) {
      this.#slots.release(sequence);
      sequence.preempt();
    }
    this.#queue = [...later, ...this.#queue];
    return [];
  }

  cacheLost(): readonly Sequence[] {
    if (this.#ceiling.rows === 1) return [...this.#slots.rows];
    this.#ceiling.copyFailed();
    const lost = this.#slots.releaseAll();
    for (const sequence of lost) sequence.preempt();
    this.#queue = [...lost, ...this.#queue];
    return [];
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

  get #mostRows(): number {
    return Math.min(this.#limits.maxBatchSize, this.#ceiling.rows);
  }

  /** The longest head of the queue that fits the batch: in rows, and in tokens once padded to its longest prompt. */
  #fill(): Sequence[] {
    const batch: Sequence[] = [];
    let longest = 0;
    for (const sequence of this.#queue) {
      longest = Math.max(longest, sequence.prefillTokenIds.length);
      const tokens = longest * (batch.length + 1);
      if (batch.length > 0 && tokens > this.#limits.maxBatchTokens) break;
      batch.push(sequence);
      if (batch.length === this.#mostRows) break;
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
    const rows = batch.map((sequence) => ({ sequence, from: 0, to: sequence.prefillTokenIds.length }));
    return { type: 'run', plan: { phase: 'prefill', rows, batchId: this.#batches, trigger }, preempted: [] };
  }
}
