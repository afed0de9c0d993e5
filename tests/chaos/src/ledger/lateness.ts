import type { Entry } from './entry.ts';
import type { Ledger } from './ledger.ts';

/** Of time in which nobody had an excuse: a worker hears of a cancellation within a second, and of a deadline by a timer. */
const LATE_MS = 10_000;
/** Two processes of one machine read its clock, and a timer may be a little early. */
const EARLY_MS = 500;
/** After its deadline a worker may still be writing what it has. */
const OVERRUN_MS = 1_000;
/** Of so many requests that were to be stopped, chance alone does not let every one reach its end before. */
const ENOUGH = 6;

/** A request must not expire before its deadline, nor be completed long after it. */
export function judgeDeadline(entry: Entry): void {
  const { openedAt, acceptedAt, endedAt, outcome, finish, terms } = entry;
  if (outcome === undefined || endedAt === undefined || terms.timeoutMs === undefined) return;
  if (outcome.kind === 'failed') {
    if (outcome.code !== 'deadline_exceeded') return;
    const left = openedAt + terms.timeoutMs - endedAt;
    if (left > EARLY_MS) entry.violate(`expired at least ${left} ms before its deadline`);
    return;
  }
  if (acceptedAt === undefined || finish === undefined) return;
  const late = entry.timeline.calmBetween(acceptedAt + terms.timeoutMs, finish.at);
  if (late > LATE_MS) entry.violate(`completed after its deadline, for which nothing accounts for ${late} ms`);
}

/**
 * A worker that was told to stop a job must not go on with it. When another one has claimed it since, that one was told
 * by the mark on the job, whenever its turn came.
 */
export function judgeDeletion(entry: Entry): void {
  const { deletion, finish } = entry;
  if (deletion?.httpStatus !== 202 || finish === undefined || finish.claims !== deletion.claims) return;
  const late = entry.timeline.calmBetween(deletion.at, finish.at);
  if (late > LATE_MS) entry.violate(`ended after its DELETE was accepted, and nothing accounts for ${late} ms of that`);
}

/**
 * What no single request shows: each may have been about to end when it was to be stopped, or its worker cut off, but not
 * all of them.
 */
export function judgeStops(ledger: Ledger): void {
  const ended = ledger.entries.filter(({ outcome }) => outcome !== undefined);
  const groups: readonly (readonly [string, Entry[]])[] = [
    ['deleted while they ran', ended.filter(({ deletion }) => deletion?.httpStatus === 202)],
    ['left by their readers', ended.filter(({ leftAt }) => leftAt !== undefined)],
    ['past their deadlines', ended.filter(isOverdue)],
  ];
  for (const [what, group] of groups) {
    if (group.length >= ENOUGH && group.every(({ outcome }) => outcome?.kind === 'completed'))
      ledger.find(`${group.length} requests were ${what}, and none of them was stopped`);
  }
}

function isOverdue({ terms: { timeoutMs }, outcome, acceptedAt, finish }: Entry): boolean {
  if (timeoutMs === undefined || acceptedAt === undefined) return false;
  if (outcome?.kind === 'failed') return true;
  return finish !== undefined && finish.at > acceptedAt + timeoutMs + OVERRUN_MS;
}
