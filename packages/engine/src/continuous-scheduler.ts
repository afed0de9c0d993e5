import type { BatchTrigger } from '@shoal/protocol';
import { Ceiling } from './ceiling.ts';
import { ChunkSizer } from './chunk-sizer.ts';
import { CacheLedger } from './kv-cache/cache-ledger.ts';
import { type PrefixSource, sharesPrefix } from './kv-cache/prefix-store.ts';
import type { SlotMove } from './kv-cache/slot-table.ts';
import { chooseBatch, chunkLength } from './prefill-batch.ts';
import {
  type CacheUse,
  type Decision,
  type PrefillRow,
  planSequences,
  planTokens,
  type Scheduler,
  type SchedulerLimits,
  type StepPlan,
} from './scheduler.ts';
import type { Sequence } from './sequence.ts';
import { WaitingLine } from './waiting-line.ts';

export interface ContinuousLimits extends SchedulerLimits {
  /** Tokens that the cache may hold at once; at least the length of the longest sequence there can be. */
  budgetTokens: number;
  /** Rows of the cache beyond maxBatchSize (beyond two, if that is one) for prompts kept to be reused. Default 0. */
  prefixSlots?: number | undefined;
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
  #limits: ContinuousLimits;
  readonly #cache: CacheLedger;
  readonly #line = new WaitingLine();
  readonly #chunkSizer: ChunkSizer;
  readonly #ceiling: Ceiling;
  #batches = 0;
  #closing = false;
  /** The last pass was a decode step, so that a prefill is due if there is one. */
  #prefillDue = true;

  constructor(limits: ContinuousLimits) {
    const { maxBatchSize: slots, prefixSlots = 0, budgetTokens } = limits;
    this.#limits = limits;
    this.#cache = new CacheLedger({ slots, prefixSlots, budgetTokens });
    this.#chunkSizer = new ChunkSizer(limits.maxBatchTokens);
    this.#ceiling = new Ceiling(slots);
  }

  get waiting(): number {
    return this.#line.size;
  }

  get running(): number {
    return this.#cache.rows.length;
  }

  get limits(): SchedulerLimits {
    return this.#limits;
  }

  get cache(): CacheUse {
    const { usedTokens, budgetTokens } = this.#cache;
    return { usedTokens, budgetTokens };
  }

  tune(limits: SchedulerLimits): void {
    const { maxBatchSize, maxQueueDelayMs, maxBatchTokens } = limits;
    this.#limits = { ...this.#limits, maxBatchSize, maxQueueDelayMs, maxBatchTokens };
    this.#chunkSizer.bound(maxBatchTokens);
  }

  add(sequence: Sequence): void {
    this.#line.add(sequence);
  }

  fork(from: Sequence, sequence: Sequence): void {
    if (!this.#cache.fork(from, sequence, this.#freeRows())) this.#line.add(sequence);
  }

  remove(sequence: Sequence): void {
    if (sequence.slot === undefined) this.#line.remove([sequence]);
    else this.#cache.release(sequence);
  }

  schedule(now: number): Decision {
    const idle = this.#cache.decoding.length === 0;
    const prefill = this.#prefillDue || idle ? this.#prefill(now) : undefined;
    this.#prefillDue = prefill?.type !== 'run';
    if (prefill?.type === 'run') return prefill;
    if (idle) return prefill ?? { type: 'idle' };
    const preempted = this.#makeRoom();
    const rows = this.#cache.decoding;
    const behind = this.#cache.begun?.computed ?? 0;
    if (rows.length > 0) return { type: 'run', plan: { phase: 'decode', rows, behind }, preempted };
    // The only one left is in its prefill.
    const decision = this.#prefill(now) ?? { type: 'idle' };
    return decision.type === 'run' ? { ...decision, preempted } : decision;
  }

  ran(plan: StepPlan, durationMs: number): void {
    this.#ceiling.succeeded();
    if (plan.phase === 'decode') {
      this.#chunkSizer.decoded(durationMs);
      return;
    }
    this.#chunkSizer.prefilled(planTokens(plan).padded, durationMs);
    for (const { sequence } of plan.rows) if (sequence.prefilled) this.#cache.promote(sequence);
  }

  /**
   * A prefill of several is tried again one by one, since each of them is begun already; of several that decode half
   * go back to waiting, and fewer are run from now on.
   */
  failed(plan: StepPlan): readonly Sequence[] {
    const sequences = planSequences(plan);
    if (sequences.length === 1) {
      this.#ceiling.clear();
      return sequences;
    }
    this.#prefillDue = true;
    if (plan.phase === 'prefill') return [];
    this.#ceiling.failed(sequences.length);
    for (const sequence of sequences.slice(this.#ceiling.rows)) this.#preempt(sequence);
    return [];
  }

  takeMoves(): SlotMove[] {
    return this.#cache.takeMoves();
  }

  takeFreed(): number[] {
    return this.#cache.takeFreed();
  }

  close(): void {
    this.#closing = true;
  }

  inspect(): SchedulerSnapshot {
    const { rows, decoding, usedTokens, budgetTokens } = this.#cache;
    return { waiting: this.#line.sequences, rows, decoding: decoding.length, usedTokens, budgetTokens };
  }

  /** The next pass over prompt tokens: the one begun is finished before others start. */
  #prefill(now: number): Decision | undefined {
    const { begun, rows } = this.#cache;
    if (begun !== undefined) return this.#run([this.#nextChunk(begun)], 'continuous');
    const { head } = this.#line;
    if (head === undefined) return undefined;
    const until = head.arrivedAt + this.#limits.maxQueueDelayMs;
    const full = this.#line.size >= this.#limits.maxBatchSize;
    const waits = rows.length === 0 && !full && !this.#closing && now < until;
    return waits ? { type: 'wait', until } : this.#admit(this.#trigger());
  }

  /** Starts the longest-waiting sequence, and with it others of similar length, as far as rows and budget reach. */
  #admit(trigger: BatchTrigger): Decision | undefined {
    const free = this.#freeRows();
    const candidates = this.#cache.affordable(this.#line.sequences.slice(0, LOOK_AHEAD * free), free);
    const [first] = candidates;
    if (first === undefined) return undefined;
    const prefix = this.#cache.findPrefix(first);
    if (prefix !== undefined) return this.#start([first], trigger, prefix);
    if (first.prefillTokenIds.length > this.#chunkTokens()) return this.#start([first], trigger);
    const fresh = this.#withoutPrefix(candidates);
    const lengths = fresh.map((sequence) => sequence.prefillTokenIds.length);
    const chosen = chooseBatch(lengths, { rows: free, tokens: this.#chunkTokens() });
    return this.#start(
      chosen.flatMap((index) => fresh[index] ?? []),
      trigger,
    );
  }

  /** Those that are computed from their first token: others are cheaper once what they begin with is in the cache. */
  #withoutPrefix(candidates: readonly Sequence[]): Sequence[] {
    const fresh: Sequence[] = [];
    for (const candidate of candidates) {
      const shared = fresh.some((sequence) => sharesPrefix(sequence, candidate));
      if (!shared && (fresh.length === 0 || this.#cache.findPrefix(candidate) === undefined)) fresh.push(candidate);
    }
    return fresh;
  }

  #start(batch: readonly Sequence[], trigger: BatchTrigger, prefix?: PrefixSource): Decision {
    this.#line.remove(batch);
    this.#batches += 1;
    for (const sequence of batch) this.#cache.take(sequence, prefix);
    const rows = batch.map((sequence) => this.#nextChunk(sequence));
    return { ...this.#run(rows, trigger), reused: prefix?.length };
  }

  #nextChunk(sequence: Sequence): PrefillRow {
    const from = sequence.computed;
    return { sequence, from, to: from + chunkLength(sequence.prefillTokenIds.length - from, this.#chunkTokens()) };
  }

  #run(rows: readonly PrefillRow[], trigger: BatchTrigger): Extract<Decision, { type: 'run' }> {
    return { type: 'run', plan: { phase: 'prefill', rows, batchId: this.#batches, trigger }, preempted: [] };
  }

  #makeRoom(): Sequence[] {
    const preempted: Sequence[] = [];
    for (let surplus = this.#cache.surplus(); surplus !== undefined; surplus = this.#cache.surplus()) {
      this.#preempt(surplus);
      preempted.push(surplus);
    }
    return preempted;
  }

  #preempt(sequence: Sequence): void {
    this.#cache.release(sequence);
    sequence.preempt();
    this.#line.add(sequence);
  }

  #freeRows(): number {
    const most = Math.min(this.#ceiling.rows, this.#limits.maxBatchSize);
    return Math.max(0, Math.min(this.#cache.freeSlots, most - this.#cache.rows.length));
  }

  #chunkTokens(): number {
    return this.#cache.decoding.length === 0 ? this.#limits.maxBatchTokens : this.#chunkSizer.tokens;
  }

  #trigger(): BatchTrigger {
    if (this.#cache.rows.length > 0) return 'continuous';
    if (this.#line.size >= this.#limits.maxBatchSize) return 'full';
    return this.#closing ? 'closing' : 'delay';
  }
}
