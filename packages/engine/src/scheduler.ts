import type { BatchTrigger } from '@shoal/protocol';
import type { SlotMove } from './kv-cache/slot-table.ts';
import type { Sequence } from './sequence.ts';

/** One run of the model: which sequences, in slot order, and what of each. */
export type StepPlan = PrefillPlan | DecodePlan;

/** Prompt tokens are computed. Rows own consecutive slots. */
export interface PrefillPlan {
  phase: 'prefill';
  rows: readonly PrefillRow[];
  /** The sequences whose prefill begins here form a batch of this number, which began for this reason. */
  batchId: number;
  trigger: BatchTrigger;
}

/** Tokens `from` … `to − 1` of a prompt. Only a plan with a single row may start at `from > 0`. */
export interface PrefillRow {
  sequence: Sequence;
  from: number;
  to: number;
}

/** One token for each sequence; they own slots 0 … rows − 1. */
export interface DecodePlan {
  phase: 'decode';
  rows: readonly Sequence[];
  /** Positions that the row after the last one holds, 0 where nobody owns it. */
  behind: number;
  /** Part of a prompt, two tokens at least, that rides along; its sequence owns the row after the last one. */
  chunk?: PrefillRow | undefined;
  /** With a chunk: as in {@link PrefillPlan}. */
  batchId?: number | undefined;
}

export type Decision =
  | {
      type: 'run';
      plan: StepPlan;
      /** Sent back to waiting to make room for it. */
      preempted: readonly Sequence[];
      /** Tokens of its rows that were copied from a kept prefix instead of computed. */
      reused?: number | undefined;
    }
  /** Nothing to run before `until` (Unix milliseconds), unless something arrives. */
  | { type: 'wait'; until: number }
  | { type: 'idle' };

/**
 * Chooses what runs next. Pure bookkeeping: no tensors, no clock of its own, no I/O. Every method is synchronous.
 */
export interface Scheduler {
  readonly waiting: number;
  readonly running: number;
  readonly limits: SchedulerLimits;
  add(sequence: Sequence): void;
  /**
   * Lets `sequence` run on from the cache of `from`, which just finished its prefill: they have the same prompt. Copies
   * where a slot is free; otherwise it waits, and computes the prompt itself.
   */
  fork(from: Sequence, sequence: Sequence): void;
  /** Takes a sequence out, whatever its state: it ended, failed or was aborted. */
  remove(sequence: Sequence): void;
  /** `now` is Unix milliseconds. */
  schedule(now: number): Decision;
  /**
   * The plan was run: every row's `computed` says so already, and no sequence has left yet.
   *
   * @param durationMs what it took, for those who size the next
   */
  ran(plan: StepPlan, durationMs: number): void;
  /**
   * The plan's run failed, and nothing of it counts. What can be tried again in smaller parts stays or goes back to
   * waiting; returned are those that cannot, and must be removed.
   */
  failed(plan: StepPlan): readonly Sequence[];
  /**
   * A copy between rows failed, so that no row can be trusted. Every running sequence goes back to waiting, to be computed
   * again from its tokens; fewer run together from now on. Returned are those that would not fare better: they ran alone,
   * which takes no copy.
   */
  cacheLost(): readonly Sequence[];
  /** Copies of cache rows that must happen before the next run; the list is handed over once. */
  takeMoves(): SlotMove[];
  /** Rows that lost their owner since the last call and have no new one, after the moves were made. */
  takeFreed(): number[];
  readonly cache: CacheUse;
  /** The limits from now on; slots and memory stay as they are, so `maxBatchSize` is at most what it was at first. */
  tune(limits: SchedulerLimits): void;
  /** From now on nothing waits for company. */
  close(): void;
}

/** The sequences of a plan, in slot order. */
export function planSequences(plan: StepPlan): readonly Sequence[] {
  if (plan.phase === 'prefill') return plan.rows.map((row) => row.sequence);
  return plan.chunk === undefined ? plan.rows : [...plan.rows, plan.chunk.sequence];
}

/** The parts of prompts that a plan computes. */
export function planPrefills(plan: StepPlan): readonly PrefillRow[] {
  if (plan.phase === 'prefill') return plan.rows;
  return plan.chunk === undefined ? [] : [plan.chunk];
}

/** Tokens that a plan computes, and the same with padding. */
export function planTokens(plan: StepPlan): { real: number; padded: number } {
  if (plan.phase === 'decode') {
    const tokens = plan.rows.length + (plan.chunk === undefined ? 0 : plan.chunk.to - plan.chunk.from);
    return { real: tokens, padded: tokens };
  }
  const lengths = plan.rows.map((row) => row.to - row.from);
  return { real: lengths.reduce((sum, length) => sum + length, 0), padded: Math.max(...lengths) * lengths.length };
}

/** Tokens held or promised in the cache, and how many may be; undefined where the slots are the only bound. */
export interface CacheUse {
  usedTokens: number;
  budgetTokens: number | undefined;
}

export interface SchedulerLimits {
  /** Sequences that run together, which is also the number of slots. */
  maxBatchSize: number;
  /** Milliseconds that the oldest waiting sequence may wait for company. */
  maxQueueDelayMs: number;
  /** Tokens, padding included, that one prefill may compute; a longer prompt is prefilled alone. */
  maxBatchTokens: number;
}
