import { expect, test } from 'vitest';
import { quantile } from '../statistics.ts';
import { ANSWER_LENGTHS, type ArrivalPattern, arrivals, MEAN_ANSWER_TOKENS, PROMPT_LENGTHS } from './arrivals.ts';

const HOUR_MS = 3_600_000;

function hour(pattern: ArrivalPattern, seed = 1): ReturnType<typeof arrivals> {
  return arrivals({ pattern, perSecond: 2, durationMs: HOUR_MS, seed, vocab: 1000 });
}

/** Variance of the counts per second ÷ their mean: 1 for a Poisson process. */
function dispersion(list: ReturnType<typeof arrivals>): number {
  const counts = new Float64Array(HOUR_MS / 1000);
  for (const { atMs } of list) counts[Math.floor(atMs / 1000)] = (counts[Math.floor(atMs / 1000)] ?? 0) + 1;
  const mean = list.length / counts.length;
  return counts.reduce((sum, count) => sum + (count - mean) ** 2, 0) / counts.length / mean;
}

test.each([
  ['poisson', 1, 0.15],
  // A compound Poisson process disperses by E[size²] ÷ E[size]: 2 · 4 − 1 for geometric sizes of mean 4.
  ['bursty', 7, 1],
] as const)('%s arrivals have the rate that was asked for, and disperse by %d', (pattern, expected, off) => {
  const list = hour(pattern);
  expect(Math.abs(list.length / 7200 - 1)).toBeLessThan(0.06);
  expect(Math.abs(dispersion(list) - expected)).toBeLessThan(off);
  expect(list.every(({ atMs }, i) => atMs >= (list[i - 1]?.atMs ?? 0) && atMs < HOUR_MS)).toBe(true);
});

test.each([1, 2, 3, 4])('a short window asks for as much as its rate says (seed %d)', (seed) => {
  const list = arrivals({ pattern: 'poisson', perSecond: 2, durationMs: 30_000, seed, vocab: 1000 });
  const tokens = list.reduce((sum, { maxTokens }) => sum + maxTokens, 0);
  const wanted = 60 * MEAN_ANSWER_TOKENS;
  expect(tokens).toBeGreaterThanOrEqual(wanted);
  expect(tokens - wanted).toBeLessThan(list.at(-1)?.maxTokens ?? 0);
  expect(list.every(({ atMs }) => atMs < 30_000)).toBe(true);
});

test('the same seed gives the same requests, another one others', () => {
  expect(hour('poisson')).toEqual(hour('poisson'));
  expect(hour('poisson', 2)).not.toEqual(hour('poisson'));
});

test('lengths are log-normal within their bounds, tokens are words', () => {
  const list = hour('poisson');
  for (const [law, lengths] of [
    [PROMPT_LENGTHS, list.map(({ prompt }) => prompt.length)],
    [ANSWER_LENGTHS, list.map(({ maxTokens }) => maxTokens)],
  ] as const) {
    expect(Math.abs(quantile(lengths, 0.5) - law.median)).toBeLessThanOrEqual(1);
    const sigma = Math.log(quantile(lengths, 0.8413) / law.median);
    expect(Math.abs(sigma - law.deviation)).toBeLessThan(0.08);
    expect(Math.min(...lengths)).toBeGreaterThanOrEqual(law.least);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(law.most);
  }
  expect(list.every(({ prompt }) => prompt.every((id) => id >= 300 && id < 1000))).toBe(true);
});
