import type { SchedulerSnapshot } from './continuous-scheduler.ts';

/**
 * What must hold between any two steps of continuous batching. Tests call it after every step; it throws the first
 * thing that does not hold.
 */
export function checkInvariants(snapshot: SchedulerSnapshot): void {
  const { rows, waiting, decoding, usedTokens, budgetTokens } = snapshot;
  const seen = new Set<string>();
  for (const sequence of [...rows, ...waiting]) {
    assert(!seen.has(sequence.id), `${sequence.id} is in two places`);
    seen.add(sequence.id);
  }
  for (const [slot, sequence] of rows.entries()) {
    assert(sequence.slot === slot, `${sequence.id} owns slot ${sequence.slot} and stands in ${slot}`);
    assert(sequence.state === 'running', `${sequence.id} owns a slot and is ${sequence.state}`);
    assert(
      sequence.prefilled === slot < decoding,
      `${sequence.id} in slot ${slot} is on the wrong side of the prefill`,
    );
    assert(sequence.computed < sequence.length, `${sequence.id} has nothing left to compute`);
  }
  for (const [index, sequence] of waiting.entries()) {
    assert(sequence.state === 'waiting', `${sequence.id} waits and is ${sequence.state}`);
    assert(sequence.slot === undefined && sequence.computed === 0, `${sequence.id} waits and holds cache`);
    const next = waiting[index + 1];
    assert(next === undefined || next.ordinal > sequence.ordinal, `${sequence.id} was overtaken while waiting`);
  }
  // One token per row beyond the budget may be promised after a step; the next decode step preempts before it runs.
  assert(usedTokens <= budgetTokens + rows.length, `${usedTokens} of ${budgetTokens} tokens used`);
}

function assert(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(`invariant broken: ${otherwise}`);
}
