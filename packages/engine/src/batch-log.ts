import type { BatchRecord } from '@shoal/protocol';
import type { PrefillPlan, StepPlan } from './scheduler.ts';

/** Writes down each static batch as it runs. */
export class BatchLog {
  #open: BatchRecord | undefined;

  begin(plan: PrefillPlan, now: number): void {
    const sequences = plan.rows.map((row) => row.sequence);
    this.#open = {
      id: plan.batchId,
      requestIds: sequences.map((sequence) => sequence.answer.requestId),
      trigger: plan.trigger,
      waitedMs: now - Math.min(...sequences.map((sequence) => sequence.arrivedAt)),
      startedAt: now,
      durationMs: 0,
      steps: 0,
      promptTokens: sequences.reduce((sum, sequence) => sum + sequence.promptTokenIds.length, 0),
      generatedTokens: 0,
    };
  }

  step(plan: StepPlan, generatedTokens: number): void {
    if (this.#open === undefined) return;
    this.#open.generatedTokens += generatedTokens;
    if (plan.phase === 'decode') this.#open.steps += 1;
  }

  /** The record of the batch that just ended, if one was open. */
  end(now: number): BatchRecord | undefined {
    const record = this.#open;
    this.#open = undefined;
    if (record !== undefined) record.durationMs = now - record.startedAt;
    return record;
  }
}
