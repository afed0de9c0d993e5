import { describe, expect, it } from 'vitest';
import { admits } from './admission.ts';
import { chooseBatch, chunkLength } from './prefill-batch.ts';

describe('chooseBatch', () => {
  const limits = { rows: 8, tokens: 1000 };

  it('takes the first, and those behind it that cost little padding', () => {
    expect(chooseBatch([300, 10, 290, 310, 12], limits)).toEqual([0, 2, 3]);
    expect(chooseBatch([10, 300, 12, 9], limits)).toEqual([0, 2, 3]);
  });

  it('stays within rows and within tokens, padding included', () => {
    expect(chooseBatch(new Array(20).fill(5), limits)).toHaveLength(8);
    expect(chooseBatch([400, 390, 380], limits)).toEqual([0, 1]);
  });

  it('takes a first one that is over the limit alone', () => {
    expect(chooseBatch([2000, 5], limits)).toEqual([0]);
    expect(chooseBatch([], limits)).toEqual([]);
  });
});

describe('chunkLength', () => {
  it('never leaves a tail of one token, and never computes one token of several', () => {
    for (let limit = 1; limit <= 12; limit++) {
      for (let length = 2; length <= 60; length++) {
        const chunks = [];
        for (let left = length; left > 0; left -= chunks.at(-1) ?? left) chunks.push(chunkLength(left, limit));
        expect(chunks.reduce((sum, chunk) => sum + chunk, 0)).toBe(length);
        expect(Math.min(...chunks)).toBeGreaterThanOrEqual(2);
        expect(Math.max(...chunks)).toBeLessThanOrEqual(Math.max(limit, 3));
      }
    }
    expect(chunkLength(1, 8)).toBe(1);
  });
});

describe('admits', () => {
  const snapshot = { budgetTokens: 1000, usedTokens: 800, running: 4, freeSlots: 2 };

  it('asks for a slot, for the tokens, and for room to grow', () => {
    expect(admits(snapshot, 120)).toBe(true);
    expect(admits(snapshot, 121)).toBe(false);
    expect(admits({ ...snapshot, freeSlots: 0 }, 1)).toBe(false);
  });

  it('always lets one run alone', () => {
    expect(admits({ ...snapshot, usedTokens: 0, running: 0 }, 1000)).toBe(true);
  });
});
