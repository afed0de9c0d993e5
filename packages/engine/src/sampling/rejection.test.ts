import { describe, expect, it } from 'vitest';
import { TestRandom } from '../testing/random.ts';
import { drawByRejection } from './rejection.ts';

const TOKENS = 250;
const random = new TestRandom(6);

function normalised(weights: readonly number[]): Float32Array {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return Float32Array.from(weights, (weight) => weight / total);
}

const ROWS: readonly (readonly [string, Float32Array])[] = [
  ['of different tokens', normalised(Array.from({ length: TOKENS }, () => Math.exp(4 * random.next())))],
  ['of tokens of which many are as likely', normalised(Array.from({ length: TOKENS }, (_, id) => 1 + (id % 3)))],
  ['of equal tokens', normalised(new Array<number>(TOKENS).fill(1))],
];

/** The smallest set of most likely tokens whose mass reaches `topP`; of tokens as likely those of lower id come first. */
function nucleus(probabilities: Float32Array, topP: number): Set<number> {
  const kept = new Set<number>();
  let mass = 0;
  for (const [id, probability] of [...probabilities.entries()].sort(([a, p], [b, q]) => q - p || a - b)) {
    if (mass >= topP) break;
    kept.add(id);
    mass += probability;
  }
  return kept;
}

describe.each(ROWS)('a row %s', (_, probabilities) => {
  // Away from where sums of float32 numbers end: there rounding decides.
  it.each([
    [1, 0.7013],
    [5, 0.8507],
    [25, 0.9511],
    [250, 0.9511],
  ])('cut into %i blocks: accepts exactly the tokens of the nucleus of %f', (blocks, topP) => {
    const size = TOKENS / blocks;
    const sum = (from: number, to: number) => probabilities.subarray(from, to).reduce((total, p) => total + p, 0);
    const masses = Float32Array.from({ length: blocks }, (_, block) => sum(block * size, (block + 1) * size));
    const wanted = nucleus(probabilities, topP);
    for (let token = 0; token < TOKENS; token++) {
      const at = sum(0, token) + (probabilities[token] ?? 0) / 2;
      const drawn = drawByRejection(probabilities, masses, { threshold: 0, topP }, () => at);
      expect([token, drawn]).toEqual([token, wanted.has(token) ? token : undefined]);
    }
  });
});
