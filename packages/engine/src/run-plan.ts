import { CacheLost } from './kv-cache/cache-rows.ts';
import type { ModelRunner, StepOutput } from './model-runner/model-runner.ts';
import type { Scheduler, StepPlan } from './scheduler.ts';

/**
 * Carries a plan out: brings the cache rows into the order that the scheduler decided, then runs the model.
 *
 * @throws CacheLost when a row could not be copied; otherwise what the runner throws or rejects with
 */
export function runPlan(plan: StepPlan, scheduler: Scheduler, runner: ModelRunner): Promise<StepOutput> {
  copyRows(scheduler, runner);
  for (const slot of scheduler.takeFreed()) runner.freeSlot(slot);
  if (plan.phase === 'decode') {
    const inputs = plan.rows.map((sequence) => sequence.nextInput);
    const pasts = plan.rows.map((sequence) => sequence.computed);
    if (plan.chunk === undefined) return runner.decode(inputs, pasts, plan.behind);
    if (runner.mixed === undefined) throw new Error('this runner takes no chunk into a decode step');
    const { sequence, from, to } = plan.chunk;
    return runner.mixed(inputs, pasts, { past: from, tokenIds: sequence.prefillTokenIds.slice(from, to) });
  }
  const [first] = plan.rows;
  if (first?.sequence.slot === undefined) throw new Error('a prefill needs rows that own slots');
  const chunks = plan.rows.map(({ sequence, from, to }) => sequence.prefillTokenIds.slice(from, to));
  if (first.from === 0) return runner.prefill(first.sequence.slot, chunks);
  return runner.extend(first.sequence.slot, first.from, chunks[0] ?? []);
}

/** The scheduler counts moves as made once it has told them: after one that fails, whose row is whose is not known. */
function copyRows(scheduler: Scheduler, runner: ModelRunner): void {
  try {
    for (const { from, to, length } of scheduler.takeMoves()) runner.copySlot(from, to, length);
  } catch (cause) {
    if (cause instanceof CacheLost) throw cause;
    const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
    throw new CacheLost(`a row of the cache could not be copied: ${reason}`, { cause });
  }
}
