import type { Child } from '../queue/child.ts';
import type { Arrival } from './arrivals.ts';
import type { RunningContestant } from './contestant.ts';
import type { LoadGeneratorCalls } from './load-generator.ts';

const PATIENCE_MS = 120_000;

/** Tokens per second of a burst: all that was asked for, until the last of it was there. */
export async function burstRate(
  generator: Child<LoadGeneratorCalls>,
  running: RunningContestant,
  works: readonly Arrival[],
): Promise<number> {
  const ends = await answersOf(generator, running, works);
  const tokens = works.reduce((sum, { maxTokens }) => sum + maxTokens, 0);
  return (1000 * tokens) / Math.max(...ends);
}

/** When each answer was complete, in ms. */
async function answersOf(
  generator: Child<LoadGeneratorCalls>,
  { url, fields }: RunningContestant,
  arrivals: readonly Arrival[],
): Promise<number[]> {
  const load = { url, fields: { ...fields }, arrivals, patienceMs: PATIENCE_MS, quietMs: PATIENCE_MS };
  const { records } = await generator.call('load', load);
  return records.map(({ endMs, error }) => {
    if (endMs === undefined) throw new Error(error ?? 'no answer');
    return endMs;
  });
}
