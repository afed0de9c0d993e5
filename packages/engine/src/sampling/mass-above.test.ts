import { expect, test } from 'vitest';
import { TestRandom } from '../testing/random.ts';
import { massAbove } from './mass-above.ts';

const random = new TestRandom(4);
const PROBABILITIES = Float32Array.from({ length: 40_010 }, () => random.next() ** 9);

test.each([0, 1, 3, 4, 5, 191, 192, 16_384, 16_385, 40_003])('over %i probabilities as plain arithmetic', (length) => {
  const looked = PROBABILITIES.subarray(1, 1 + length);
  for (const bound of [0, looked[0] ?? 0, Math.fround(0.3), 1]) {
    const expected = looked.reduce((sum, value) => (value > bound ? sum + value : sum), 0);
    expect(massAbove(PROBABILITIES, 1, 1 + length, bound)).toBeCloseTo(expected, 9);
  }
});

test('what another call left behind does not count', () => {
  massAbove(new Float32Array(64).fill(0.5), 0, 64, 0);
  expect(massAbove(Float32Array.of(0.25), 0, 1, 0)).toBe(0.25);
});

test('a number equal to the bound is not above it', () => {
  const bound = Math.fround(0.1);
  expect(massAbove(Float32Array.of(bound, bound, bound, bound, 0.5), 0, 5, bound)).toBe(0.5);
});
