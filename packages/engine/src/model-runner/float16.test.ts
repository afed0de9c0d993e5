import { loadOrt } from '@shoal/ort';
import { describe, expect, it } from 'vitest';
import { widen } from './float16.ts';
import { logitsOf } from './logits.ts';
import { SamplingHead } from './sampling-head.ts';

describe('float16', () => {
  it.each([
    [0x0000, 0],
    [0x8000, -0],
    [0x3c00, 1],
    [0xc000, -2],
    [0x3555, 0.333251953125],
    [0x7bff, 65504],
    [0x0400, 2 ** -14],
    [0x0001, 2 ** -24],
    [0x7c00, Number.POSITIVE_INFINITY],
    [0xfc00, Number.NEGATIVE_INFINITY],
    [0x7e00, Number.NaN],
  ])('widens %i to %d', (bits, value) => {
    expect(widen(Uint16Array.of(bits))[0]).toBe(value);
  });

  it('logits are read, and sampled from, as they are', async () => {
    const ort = await loadOrt();
    const logits = ort.allocate('float16', [2, 1, 4]);
    // 1, 4, −2, 0.5 and the same backwards.
    logits.data.set([0x3c00, 0x4400, 0xc000, 0x3800, 0x3800, 0xc000, 0x4400, 0x3c00]);
    expect([...logitsOf(logits, 1, 4)]).toEqual([0.5, -2, 4, 1]);
    const head = new SamplingHead({ ort, intraOpThreads: 1, logits, logitsType: 'float16' });
    const greedy = await head.run(2, { best: true, additions: { rows: [1], tokenIds: [0], values: [9] } });
    expect([greedy.best(0), greedy.best(1)]).toEqual([1, 0]);
    const sampled = await head.run(2, { temperatures: [1, 1], likeliest: true });
    expect([0, 1, 2, 3].map((index) => sampled.id(0, index))).toEqual([1, 0, 3, 2]);
    const weights = [1, 4, -2, 0.5].map(Math.exp);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (const [id, weight] of weights.entries()) expect(sampled.probabilities(0)[id]).toBeCloseTo(weight / total, 5);
    head.dispose();
    logits.dispose();
  });
});
