import type { BatchTrigger } from '@shoal/protocol';
import { type AdmissionSnapshot, admits } from './admission.ts';
import { ChunkSizer } from './chunk-sizer.ts';
import { type SlotMove, SlotTable } from './kv-cache/slot-table.ts';
import { chooseBatch, chunkLength } from './prefill-batch.ts';
import { type Decision, planTokens, type Scheduler, type SchedulerLimits, type StepPlan } from './scheduler.ts';
import type { Sequence } from './sequence.ts';

export interface ContinuousLimits extends SchedulerLimits {
  /** Tokens that the cache may hold at once; at least the length of the longest sequence there can be. */
  budgetTokens: number;
}

/** What {@link ContinuousScheduler.inspect} shows. */
export interface SchedulerSnapshot {
  waiting: readonly Sequence[];
  /** In slot order: those that decode, then those in prefill. */
  rows: readonly Sequence[];
  decoding: number;
  usedTokens: number;
  budgetTokens: number;
}

/** How many of those that wait are looked through for prompts of similar length, per free slot. */
const LOOK_AHEAD = 4;

/**
 * Continuous batching: sequences join and leave at every step. A prefill pass and a decode step take turns while there
 * is work of both kinds; prompts are cut into chunks short enough that those who decode barely notice. When the cache
 * is full the youngest goes back to waiting, and later replays what it had.
 */
export class ContinuousScheduler implements Scheduler {
  readonly #limits: ContinuousLimits;
  readonly #slots: SlotTable;
  readonly #chunkSizer: ChunkSizer;
  /** In order of arrival. */
  #queue: Sequence[] = [];
  #batches = 0;
  #closing = false;
  /** The last pass was a decode step, so that a prefill is due if there is one. */
  #prefillDue = true;

  constructor(limits: ContinuousLimits) {
    this.#limits = limits;
    this.#slots = new SlotTable(limits.maxBatchSize);
    this.#chunkSizer = new ChunkSizer(limits.maxBatchTokens);
  }

  get waiting(): number {
    return this.#queue.length;
  }

  get running(): number {
    return this.#slots.size;
  }

  add(sequence: Sequence): void {
    const behind = this.#queue.findIndex((waiting) => waiting.ordinal > sequence.ordinal);
    this.#queue.splice(behind < 0 ? this.#queue.length : behind, 0, sequence);
  }

  fork(from: Sequence, sequence: Sequence): void {
    if (!admits(this.#snapshot(), promised(sequence))) {
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
    const prefill = this.#prefillDue || this.#slots.decoding === 0 ? this.#prefill(now) : undefined;
    if (prefill?.type === 'run') {
      this.#prefillDue = false;
      return prefill;
    }
    if (this.#slots.decoding === 0) return prefill ?? { type: 'idle' };
    this.#prefillDue = true;
    const preempted = this.#makeRoom();
    return { type: 'run', plan: { phase: 'decode', rows: this.#slots.rows.slice(0, this.#slots.decoding) }, preempted };
  }

  ran(plan: StepPlan, durationMs: number): void {
    if (plan.phase === 'decode') {
      this.#chunkSizer.decoded(durationMs);
      return;
    }
    const { padded } = planTokens(plan);
    this.#chunkSizer.prefilled(padded, durationMs);
    for (const { sequence } of plan.rows) if (sequence.prefilled) this.#slots.promote(sequence);
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

  inspect(): SchedulerSnapshot {
    return {
      waiting: this.#queue,
      rows: this.#slots.rows,
      decoding: this.#slots.decoding,
      usedTokens: this.#usedTokens(),
      budgetTokens: this.#limits.budgetTokens,
    };
  }

  /** The next pass over prompt tokens: the one begun is finished before others start. */
  #prefill(now: number): Decision | undefined {
    const begun = this.#slots.rows[this.#slots.decoding];
    if (begun !== undefined) return this.#continue(begun);
    const [oldest] = this.#queue;
    if (oldest === undefined) return undefined;
    if (this.#slots.size === 0) {
      const until = oldest.arrivedAt + this.#limits.maxQueueDelayMs;
      const full = this.#queue.length >= this.#limits.maxBatchSize;
      if (!full && !this.#closing && now < until) return { type: 'wait', until };
    }
    return this.#admit(this.#trigger());
  }

  #continue(sequence: Sequence): Decision {
    const from = sequence.computed;
    const to = from + chunkLength(sequence.promptTokenIds.length - from, this.#chunkTokens());
    return this.#run([{ sequence, from, to }], 'continuous');
  }

  /** Starts the longest-waiting sequence, and with it others of similar length, as far as rows and budget reach. */
  #admit(trigger: BatchTrigger): Decision | undefined {
    const candidates = this.#affordable();
    const [first] = candidates;
    if (first === undefined) return undefined;
    const limit = this.#chunkTokens();
    const length = first.promptTokenIds.length;
    if (length > limit) return this.#start([first], trigger, chunkLength(length, limit));
    const lengths = candidates.map((sequence) => sequence.promptTokenIds.length);
    const chosen = chooseBatch(lengths, { rows: this.#slots.free, tokens: limit });
    return this.#start(
      chosen.flatMap((index) => candidates[index] ?? []),
      trigger,
      Number.POSITIVE_INFINITY,
    );
  }

  #start(batch: Sequence[], trigger: BatchTrigger, chunk: number): Decision {
    const starting = new Set(batch);
    this.#queue = this.#queue.filter((sequence) => !starting.has(sequence));
    this.#batches += 1;
    for (const sequence of batch) {
      sequence.state = 'running';
      this.#slots.take(sequence);
    }
    const rows = batch.map((sequence) => ({ sequence, from: 0, to: Math.min(sequence.promptTokenIds.length, chunk) }));
    return this.#run(rows, trigger);
  }

  #run(rows: { sequence: Sequence; from: number; to: number }[], trigger: BatchTrigger): Decision {
    return { type: 'run', plan: { phase: 'prefill', rows, batchId: this.#batches, trigger }, preempted: [] };
  }

  /** Those that wait, in order, as far as slots and budget reach; nobody overtakes one that does not fit yet. */
  #affordable(): Sequence[] {
    const snapshot = this.#snapshot();
    const affordable: Sequence[] = [];
    for (const sequence of this.#queue.slice(0, LOOK_AHEAD * this.#slots.free)) {
      const needed = promised(sequence);
      if (!admits({ ...snapshot, freeSlots: 1 }, needed) || this.#slots.free === 0) break;
      affordable.push(sequence);
      snapshot.usedTokens += needed;
      snapshot.running += 1;
    }
    return affordable;
  }

  /** Sends the youngest back to waiting until every decoding row has room for one more token. */
  #makeRoom(): Sequence[] {
    const preempted: Sequence[] = [];
    while (this.#usedTokens() > this.#limits.budgetTokens && this.#slots.size > 1) {
      const youngest = this.#slots.rows.reduce((young, row) => (row.ordinal > young.ordinal ? row : young));
      this.#slots.release(youngest);
      youngest.preempt();
      this.add(youngest);
      preempted.push(youngest);
    }
    return preempted;
  }

  #snapshot(): AdmissionSnapshot {
    return {
      budgetTokens: this.#limits.budgetTokens,
      usedTokens: this.#usedTokens(),
      running: this.#slots.size,
      freeSlots: this.#slots.free,
    };
  }

  #usedTokens(): number {
    return this.#slots.rows.reduce((sum, sequence) => sum + promised(sequence), 0);
  }

  #chunkTokens(): number {
    return this.#slots.decoding === 0 ? this.#limits.maxBatchTokens : this.#chunkSizer.tokens;
  }

  #trigger(): BatchTrigger {
    if (this.#slots.size > 0) return 'continuous';
    if (this.#queue.length >= this.#limits.maxBatchSize) return 'full';
    return this.#closing ? 'closing' : 'delay';
  }
}

/** Tokens that a sequence holds in the cache once everything known of it was computed, and one more. */
function promised(sequence: Sequence): number {
  return sequence.length + 1;
}
