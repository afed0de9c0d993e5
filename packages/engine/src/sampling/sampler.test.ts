import type { SamplingParams } from '@shoal/protocol';
import { describe, expect, it } from 'vitest';
import { sample } from './sampler.ts';

const PLAIN: SamplingParams = { temperature: 1, topP: 1, topK: 0, stop: [] };
/** Probabilities 0.5, 0.25, 0.15, 0.1, written as logits in another order of ids. */
const PROBABILITIES = new Map([
  [2, 0.5],
  [0, 0.25],
  [3, 0.15],
  [1, 0.1],
]);
const LOGITS = Float32Array.from([0, 1, 2, 3], (id) => Math.log(PROBABILITIES.get(id) ?? 0));

function draw(params: Partial<SamplingParams>, times = 20_000): number[] {
  const counts = [0, 0, 0, 0];
  for (let position = 0; position < times; position++) {
    const id = sample(LOGITS, { ...PLAIN, ...params }, 42, position);
    counts[id] = (counts[id] ?? 0) + 1;
  }
  return counts;
}

function chiSquare(counts: readonly number[], expected: readonly number[]): number {
  const times = counts.reduce((sum, count) => sum + count, 0);
  return expected.reduce((sum, share, id) => {
    if (share === 0) return sum + (counts[id] === 0 ? 0 : Number.POSITIVE_INFINITY);
    return sum + ((counts[id] ?? 0) - share * times) ** 2 / (share * times);
  }, 0);
}

/** 1 in 1,000 is above it at 3 degrees of freedom; the seed is fixed, so the tests never flicker. */
const LIMIT = 16.3;

describe('sample', () => {
  it('is greedy at temperature 0, with the lowest id among equals', () => {
    expect(sample(LOGITS, { ...PLAIN, temperature: 0 }, 1, 0)).toBe(2);
    expect(sample(Float32Array.of(1, 5, 5), { ...PLAIN, temperature: 0 }, 1, 0)).toBe(1);
  });

  it('follows the distribution', () => {
    expect(chiSquare(draw({}), [0.25, 0.1, 0.5, 0.15])).toBeLessThan(LIMIT);
  });

  it('follows the distribution at another temperature', () => {
    const sharpened = [0.25, 0.1, 0.5, 0.15].map((share) => share ** 2);
    const total = sharpened.reduce((sum, share) => sum + share, 0);
    expect(
      chiSquare(
        draw({ temperature: 0.5 }),
        sharpened.map((share) => share / total),
      ),
    ).toBeLessThan(LIMIT);
  });

  it('keeps the most likely topK', () => {
    expect(chiSquare(draw({ topK: 2 }), [1 / 3, 0, 2 / 3, 0])).toBeLessThan(LIMIT);
  });

  it('keeps the smallest set whose mass reaches topP, of those that topK kept', () => {
    expect(chiSquare(draw({ topP: 0.8 }), [0.25 / 0.9, 0, 0.5 / 0.9, 0.15 / 0.9])).toBeLessThan(LIMIT);
    expect(chiSquare(draw({ topK: 2, topP: 0.6 }), [0, 0, 1, 0])).toBeLessThan(LIMIT);
  });

  it('gives the same token for the same seed and position', () => {
    expect(draw({}, 100)).toEqual(draw({}, 100));
  });

  it('refuses logits of which none is finite', () => {
    expect(() => sample(Float32Array.of(Number.NaN, Number.NaN), PLAIN, 1, 0)).toThrow('no finite logit');
    expect(() => sample(Float32Array.of(1, Number.NaN), PLAIN, 1, 0)).toThrow('no finite logit');
  });
});
