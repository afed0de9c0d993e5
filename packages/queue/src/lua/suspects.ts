/** Scores at and above this are jobs under suspicion (watch.ts): behind every priority, taken by a rule of their own. */
export const SUSPECT_SCORE: number = 2 ** 32 * 1_000_000;

/** How long a worker that empties itself for suspects keeps others from doing the same, without a sign of life. */
export const QUARANTINE_MS: number = 30_000;
