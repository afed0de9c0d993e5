import { expect, test } from 'vitest';
import { interleave } from './interleave.ts';

test('every round has one sample of each contestant, after one that does not count', async () => {
  const calls: string[] = [];
  const contestant = (name: string) => ({
    name,
    measure: async () => {
      calls.push(name);
      return calls.length;
    },
  });
  const samples = await interleave([contestant('a'), contestant('b'), contestant('c')], 20);
  expect(calls).toHaveLength(63);
  for (let round = 0; round <= 20; round++) {
    expect(new Set(calls.slice(3 * round, 3 * round + 3))).toEqual(new Set(['a', 'b', 'c']));
    if (round > 0)
      for (const values of samples.values()) expect(Math.ceil((values[round - 1] ?? 0) / 3)).toBe(round + 1);
  }
  const orders = new Set(Array.from({ length: 20 }, (_, i) => calls.slice(3 * i + 3, 3 * i + 6).join('')));
  expect(orders.size).toBeGreaterThan(3);
});

test('two of one name are refused', async () => {
  const one = { name: 'a', measure: async () => 1 };
  await expect(interleave([one, one], 1)).rejects.toThrow(/different names/);
});
