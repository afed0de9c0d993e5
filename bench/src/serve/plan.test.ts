import { expect, test } from 'vitest';
import { parseLevels, windowsOf } from './plan.ts';

test('levels are percentages, bursty with a b, longer with an x', () => {
  expect(parseLevels('10,80b,80x4')).toEqual([
    { percent: 10, pattern: 'poisson', weight: 1 },
    { percent: 80, pattern: 'bursty', weight: 1 },
    { percent: 80, pattern: 'poisson', weight: 4 },
  ]);
  expect(() => parseLevels('80x0')).toThrow(/--levels/);
  expect(() => parseLevels('10,x')).toThrow(/--levels takes percentages/);
  expect(() => parseLevels('0')).toThrow(/--levels/);
});

test('light loads get the longest windows, and all of them fit', () => {
  const [light = 0, full = 0, over = 0] = windowsOf(parseLevels('10,100,300'), 60_000);
  expect(light).toBeGreaterThan(1.5 * full);
  expect(full).toBeGreaterThan(over);
  expect(1.2 * (light + full) + 1.7 * over).toBeCloseTo(53_000);
  expect(windowsOf(parseLevels('10'), 0)).toEqual([1_000]);
});

test('a window is as many times as long as its weight says', () => {
  const [plain = 0, long = 0] = windowsOf(parseLevels('80,80x4'), 60_000);
  expect(long).toBeCloseTo(4 * plain);
  expect(1.2 * (plain + long)).toBeCloseTo(53_000);
});
