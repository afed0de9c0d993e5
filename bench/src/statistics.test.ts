import { expect, test } from 'vitest';
import { median, pairedDifference, pairedRatio, quantile } from './statistics.ts';

test('medians and quantiles interpolate', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(quantile([10, 20, 30, 40, 50], 0.25)).toBe(20);
  expect(quantile([1, 2], 0.99)).toBeCloseTo(1.99);
  expect(median([])).toBeNaN();
});

test('ratios are taken pair by pair, so that a drift of both cancels', () => {
  const drift = [1, 2, 4, 8];
  const ratio = pairedRatio(
    drift.map((x) => 3 * x),
    drift.map((x) => 2 * x),
  );
  expect(ratio).toEqual({ median: 1.5, low: 1.5, high: 1.5, pairs: 4 });
  expect(() => pairedRatio([1], [])).toThrow(/1 and 0 samples/);
});

test('differences are taken pair by pair, too', () => {
  // Between the medians lie 3: the drift between the first pair and the others.
  expect(pairedDifference([2, 9, 9], [1, 6, 8]).median).toBe(1);
  expect(() => pairedDifference([1], [])).toThrow(/1 and 0 samples/);
});

test('more pairs tell more of a difference', () => {
  // Differences 1 … n, in any order.
  const upTo = (n: number): [number[], number[]] => [Array.from({ length: n }, (_, i) => i + 1), Array(n).fill(0)];
  // The 40th and the 60th of a hundred, as the tables of the sign test have it.
  const { median: middle, low, high, pairs } = pairedDifference(...upTo(100));
  expect([middle, Math.round(low), Math.round(high), pairs]).toEqual([50.5, 41, 60, 100]);
  const few = pairedDifference(...upTo(3));
  expect([few.low, few.high]).toEqual([1, 3]);
});
