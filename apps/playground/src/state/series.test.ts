import { expect, it } from 'vitest';
import { largest, quantile, Series, sum } from './series.ts';

it('makes one value of each span, and none where nothing came', () => {
  const series = new Series({ spanMs: 250, spans: 5, now: 0, merge: sum });
  for (const now of [10, 240]) series.add(1, now);
  series.add(5, 600);
  series.advance(800);
  expect(series.values).toEqual([undefined, undefined, 2, undefined, 5]);
});

it('keeps no more than its spans, however long nobody looked', () => {
  const series = new Series({ spanMs: 250, spans: 3, now: 0, merge: largest });
  series.add(7, 0);
  series.add(8, 10_000_000);
  series.advance(10_000_250);
  expect(series.values).toEqual([undefined, undefined, 8]);
});

it('finds quantiles by nearest rank', () => {
  const values = [40, 10, 30, 20];
  expect([0.5, 0.9, 1].map((q) => quantile(values, q))).toEqual([20, 40, 40]);
  expect(quantile([3], 0.5)).toBe(3);
});
