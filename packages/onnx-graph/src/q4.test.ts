import { expect, test } from 'vitest';
import { dequantizeQ4, quantizeQ4 } from './q4.ts';
import { randomWeights } from './weights.ts';

test('every weight is within half a step of what its four bits say', () => {
  const [k, n, block] = [64, 3, 32];
  const weights = randomWeights(5)('w', [k, n], 1);
  const q4 = quantizeQ4(weights, k, n, block);
  const back = dequantizeQ4(q4, k, n, block);
  for (const [i, weight] of weights.entries()) {
    const column = i % n;
    const step = q4.scales[column * (k / block) + Math.floor(Math.floor(i / n) / block)] ?? 0;
    expect(Math.abs((back[i] ?? Number.NaN) - weight)).toBeLessThanOrEqual(step / 2 + 1e-6);
  }
});

test('a block of zeros stays zero', () => {
  const q4 = quantizeQ4(new Float32Array(32), 32, 1, 32);
  expect(dequantizeQ4(q4, 32, 1, 32)).toEqual(new Float32Array(32));
});
