import { expect, it } from 'vitest';
import { ChunkSizer } from './chunk-sizer.ts';
import { PassCost } from './pass-cost.ts';

/** Milliseconds of a pass whose tokens cost 1 ms each, and 1 ms more for every 1,000 positions before them. */
const duration = (tokens: number, past: number): number => tokens * (1 + (past + tokens / 2) / 1000);

function trained(): PassCost {
  const cost = new PassCost();
  for (let round = 0; round < 3; round++) {
    for (let past = 0; past < 1000; past += 100) cost.learn(100, past, duration(100, past));
  }
  return cost;
}

it('learns that tokens cost more the further behind they stand, and how many a time suffices for', () => {
  const cost = trained();
  for (const past of [0, 300, 900]) {
    const tokens = cost.tokensWithin(150, past);
    expect(duration(tokens, past)).toBeGreaterThan(150 * 0.9);
    expect(duration(tokens, past)).toBeLessThan(150 * 1.1);
  }
  expect(cost.tokensWithin(0, 0)).toBe(0);
});

it('forgets: a device that became three times slower is known as that after a while', () => {
  const cost = trained();
  for (let pass = 0; pass < 30; pass++) cost.learn(100, 100 * (pass % 10), 3 * duration(100, 100 * (pass % 10)));
  expect(3 * duration(cost.tokensWithin(300, 500), 500)).toBeLessThan(300 * 1.15);
});

it('is not led astray by a pass that something else held up', () => {
  const cost = trained();
  const before = cost.tokensWithin(150, 500);
  cost.learn(100, 900, 50 * duration(100, 900));
  expect(cost.tokensWithin(150, 500)).toBeGreaterThan(before * 0.8);
  for (const past of [0, 500, 1000]) expect(Number.isFinite(cost.tokensWithin(150, past))).toBe(true);
});

it.each([
  ['of its own keeps it and the next decode step', 'apart', 1, 4],
  ['that a decode step carries keeps it', 'riding', 0.5, 4],
] as const)('a chunk %s within four decode steps, at any position', (_, way, decodeShare, steps) => {
  const decodeMs = 40;
  const sizer = new ChunkSizer(10_000);
  expect(sizer[way](0)).toBe(128);
  const stall = (tokens: number, past: number): number => duration(tokens, past) + decodeShare * decodeMs;
  for (let round = 0; round < 3; round++) {
    for (let past = 0; past < 1000; ) {
      sizer.decoded(decodeMs);
      const tokens = sizer[way](past);
      if (round > 0) expect(stall(tokens, past)).toBeLessThanOrEqual(steps * decodeMs);
      if (round > 0) expect(stall(tokens, past)).toBeGreaterThan(0.6 * steps * decodeMs);
      if (way === 'apart') sizer.prefilled(tokens, past, duration(tokens, past));
      else sizer.rode(tokens, past, stall(tokens, past));
      past += tokens;
    }
  }
});

it('a pass is bounded by the limit, and by what nobody notices on a fast device', () => {
  const sizer = new ChunkSizer(500);
  sizer.decoded(0.1);
  sizer.prefilled(100, 0, 1);
  expect(sizer.apart(0)).toBe(500);
  sizer.bound(300);
  expect(sizer.apart(0)).toBe(300);
  // Of a pass over so few nothing is learnt.
  sizer.prefilled(2, 0, 1000);
  expect(sizer.apart(0)).toBe(300);
  for (let pass = 0; pass < 40; pass++) sizer.prefilled(100, 0, 1000);
  expect(sizer.apart(0)).toBe(16);
});
