/** The cache at the moment of a decision, in tokens. */
export interface AdmissionSnapshot {
  budgetTokens: number;
  /** Held or promised to the sequences that run. */
  usedTokens: number;
  running: number;
  freeSlots: number;
}

/** Tokens left free for each running sequence to grow by, so that who is admitted is not preempted at once. */
const HEADROOM_PER_SEQUENCE = 16;

/** Whether a sequence that needs `neededTokens` may start. One that would run alone always may. */
export function admits(snapshot: AdmissionSnapshot, neededTokens: number): boolean {
  if (snapshot.freeSlots < 1) return false;
  if (snapshot.running === 0) return true;
  const headroom = HEADROOM_PER_SEQUENCE * (snapshot.running + 1);
  return snapshot.usedTokens + neededTokens + headroom <= snapshot.budgetTokens;
}
