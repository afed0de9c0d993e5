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
  type DecodePlan,
  type PrefillPlan,
  type PrefillRow,
  planPrefills,
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
  /** Whether a decode step may carry a chunk of a prompt (`ModelRunner.mixed`). Default false. */
  mixes?: boolean | undefined;
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

type RunDecision = Extract<Decision, { type: 'run' }>;
type PrefillDecision = RunDecision & { plan: PrefillPlan };

/** How many of those that wait are looked through for prompts of similar length, per free slot. */
const LOOK_AHEAD = 4;

/**
 * Continuous batching: sequences join and leave at every step. While others decode, prompts are cut into chunks short
 * enough that those barely notice, and a decode step carries the chunk of one prompt where the runner can do that; where
 * not, and when several prompts start at once, a prefill pass and a decode step take turns. When the cache is full the
 * youngest goes back to waiting, and later replays what it had.
 */
export class ContinuousScheduler implements Scheduler {
  #limits: ContinuousLimits;
  readonly #cache: CacheLedger;
  readonly #line = new WaitingLine();
  readonly #chunkSizer: ChunkSizer;
  readonly #ceiling: Ceiling;
  #batches = 0;
  #closing = false;
  /** The cache was lost although only one row at a time is allowed, and nothing has run since. */
  #lostAlone = false;
  /** Decode steps may carry chunks. */
  #mixes: boolean;
  /** The last pass was a decode step, so that a prefill is due if there is one. */
  #prefillDue = true;

  constructor(limits: ContinuousLimits) {
    const { maxBatchSize: slots, prefixSlots = 0, budgetTokens } = limits;
    this.#limits = limits;
    this.#cache = new CacheLedger({ slots, prefixSlots, budgetTokens });
    this.#chunkSizer = new ChunkSizer(limits.maxBatchTokens);
    this.#ceiling = new Ceiling(slots);
    this.#mixes = limits.mixes ?? false;
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
    if (idle) return prefill ?? { type: 'idle' };
    if (prefill?.type === 'run' && !this.#canRide(prefill.plan)) return prefill;
    const preempted = this.#makeRoom();
    const rows = this.#cache.decoding;
    if (rows.length > 0) return { ...this.#decode(rows, prefill), preempted };
    // The only one left is in its prefill.
    const decision = this.#prefill(now) ?? { type: 'idle' };
    return decision.type === 'run' ? { ...decision, preempted } : decision;
  }

  /** A decode step, and with it the chunk that is begun, if it may ride: of `prefill`, or the next of its prompt. */
  #decode(rows: readonly Sequence[], prefill: Decision | undefined): RunDecision {
    const { begun } = this.#cache;
    const behind = begun?.computed ?? 0;
    const plan: DecodePlan = { phase: 'decode', rows, behind };
    if (begun === undefined || !this.#mixes) return { type: 'run', plan, preempted: [] };
    const ride = this.#run([this.#nextChunk(begun)], 'continuous');
    const [chunk] = ride.plan.rows;
    if (chunk === undefined || !this.#canRide(ride.plan)) return { type: 'run', plan, preempted: [] };
    // Nothing was computed yet, so the next step may start others.
    this.#prefillDue = true;
    const reused = prefill?.type === 'run' ? prefill.reused : undefined;
    return { type: 'run', plan: { ...plan, chunk, batchId: ride.plan.batchId }, preempted: [], reused };
  }

  /** A single prompt's chunk: one row, and two tokens at least, as a pass over one takes another attention kernel. */
  #canRide(plan: StepPlan): boolean {
    const [row, ...others] = plan.phase === 'prefill' ? plan.rows : [];
    return this.#mixes && row !== undefined && others.length === 0 && row.to - row.from > 1;
  }

  ran(plan: StepPlan, durationMs: number): void {
    this.#ceiling.succeeded();
    this.#lostAlone = false;
    this.#learn(plan, durationMs);
    for (const { sequence } of planPrefills(plan)) if (sequence.prefilled) this.#cache.promote(sequence);
  }

  #learn(plan: StepPlan, durationMs: number): void {
    const [prefill] = planPrefills(plan);
    if (prefill === undefined) this.#chunkSizer.decoded(durationMs);
    else if (plan.phase === 'decode') this.#chunkSizer.rode(prefill.to - prefill.from, prefill.from, durationMs);
    else this.#chunkSizer.prefilled(planTokens(plan).padded, prefill.from, durationMs);
  }

  /**
   * A decode step that carried a chunk is tried again without it, and no other is given one. A prefill of several is
   * tried again one by one, since each of them is begun already; of several that decode half go back to waiting, and
   * fewer are run from now on.
   */
  failed(plan: StepPlan): readonly Sequence[] {
    const sequences = planSequences(plan);
    if (sequences.length === 1) {
      this.#ceiling.clear();
      return sequences;
    }
    this.#prefillDue = true;
    if (plan.phase === 'prefill') return [];
    if (plan.chunk !== undefined) {
      this.#mixes = false;
      return [];
    }
    this.#ceiling.failed(sequences.length);
    for (const sequence of sequences.slice(this.#ceiling.rows)) this.#preempt(sequence);
    return [];
  }

  cacheLost(): readonly Sequence[] {
    this.#prefillDue = true;
    // Rows of a time when more were allowed may still have moved; the next time there is only one.
    const needsNoCopy = this.#lostAlone && !this.#cache.keepsPrefixes;
    this.#lostAlone = this.#ceiling.rows === 1;
    this.#ceiling.copyFailed();
    const lost = this.#cache.lose();
    for (const sequence of lost) {
      sequence.preempt();
      this.#line.add(sequence);
    }
    return needsNoCopy ? lost : [];
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
    if (first.prefillTokenIds.length > this.#chunkTokens(0)) return this.#start([first], trigger);
    const fresh = this.#withoutPrefix(candidates);
    const lengths = fresh.map((sequence) => sequence.prefillTokenIds.length);
    const chosen = chooseBatch(lengths, { rows: free, tokens: this.#batchTokens() });
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
    const rows = batch.length > 1 ? batch.map(wholePrompt) : batch.map((sequence) => this.#nextChunk(sequence));
    return { ...this.#run(rows, trigger), reused: prefix?.length };
  }

  #nextChunk(sequence: Sequence): PrefillRow {
    const from = sequence.computed;
    return { sequence, from, to: from + chunkLength(sequence.prefillTokenIds.length - from, this.#chunkTokens(from)) };
  }

  #run(rows: readonly PrefillRow[], trigger: BatchTrigger): PrefillDecision {
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

  /** Tokens, padding included, that several prompts may have together. */
  #batchTokens(): number {
    return this.#cache.decoding.length === 0 ? this.#limits.maxBatchTokens : this.#chunkSizer.apart(0);
  }

  /** Of a prompt's tokens behind `past` positions, how many the next pass may compute. */
  #chunkTokens(past: number): number {
    if (this.#cache.decoding.length === 0) return this.#limits.maxBatchTokens;
    return this.#mixes ? this.#chunkSizer.riding(past) : this.#chunkSizer.apart(past);
  }

  #trigger(): BatchTrigger {
    if (this.#cache.rows.length > 0) return 'continuous';
    if (this.#line.size >= this.#limits.maxBatchSize) return 'full';
    return this.#closing ? 'closing' : 'delay';
  }
}

/** Several start with the whole of their prompts, or those behind one that was cut would be through before it. */
function wholePrompt(sequence: Sequence): PrefillRow {
  return { sequence, from: 0, to: sequence.prefillTokenIds.length };
}
