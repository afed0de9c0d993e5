import { expect, test } from 'vitest';
import { parseLevels, windowsOf } from './plan.ts';

test('levels are percentages, bursty with a b', () => {
  expect(parseLevels('10,80b')).toEqual([
    { percent: 10, pattern: 'poisson' },
    { percent: 80, pattern: 'bursty' },
  ]);
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
