import type { ArrivalPattern } from './arrivals.ts';

/** A load in percent of (a)'s capacity. */
export interface LoadLevel {
  readonly percent: number;
  readonly pattern: ArrivalPattern;
  /** How many times as long as other windows its own is. */
  readonly weight: number;
}

/** What starting, warming up and stopping a contestant takes of its time, about. */
const START_MS = 7_000;
const LEAST_MS = 1_000;

/** `10,80x4,80b`: percentages, bursty with a `b`, with windows some times as long with an `x`. Throws on anything else. */
export function parseLevels(text: string): LoadLevel[] {
  return text.split(',').map((part) => {
    const [, digits, bursty, times = '1'] = /^(\d{1,4})(b?)(?:x(\d{1,2}))?$/.exec(part) ?? [];
    const percent = Number(digits);
    const weight = Number(times);
    if (!(percent > 0 && weight > 0)) {
      throw new Error(`--levels takes percentages such as 10,80x4,80b,300; got "${part}"`);
    }
    return { percent, pattern: bursty === 'b' ? 'bursty' : 'poisson', weight };
  });
}

/**
 * How long each level's window is, in ms, when all of them shall take `blockMs`: longer where arrivals are rare, though
 * not in proportion, for a queue needs time to grow where they are not; longer by its weight; and with room for the tail
 * that answers what came last.
 */
export function windowsOf(levels: readonly LoadLevel[], blockMs: number): number[] {
  const shares = levels.map(({ percent, weight }) => weight * percent ** -0.25);
  const tails = levels.map(({ percent }) => (percent > 100 ? 1.7 : 1.2));
  const total = shares.reduce((sum, share, i) => sum + share * (tails[i] ?? 1), 0);
  const available = Math.max(0, blockMs - START_MS);
  return shares.map((share) => Math.max(LEAST_MS, (available * share) / total));
}
