import { describe, expect, it } from 'vitest';
import { planMemory } from './memory-plan.ts';

const REQUEST = { budgetBytes: 1_000_000, bytesPerToken: 100, maxModelLen: 1000, maxBatchSize: 32, overcommit: false };

describe('planMemory', () => {
  it('without overcommit gives whole rows that fit the budget', () => {
    const plan = { slots: 10, prefixSlots: 0, budgetTokens: 10_000 };
    expect(planMemory(REQUEST)).toEqual(plan);
    expect(planMemory({ ...REQUEST, budgetBytes: 1_099_999 })).toEqual(plan);
    expect(planMemory({ ...REQUEST, maxBatchSize: 7 })).toEqual({ slots: 7, prefixSlots: 3, budgetTokens: 10_000 });
  });

  it('with overcommit gives every slot, and the tokens that fit', () => {
    expect(planMemory({ ...REQUEST, overcommit: true })).toEqual({ slots: 32, prefixSlots: 16, budgetTokens: 10_000 });
  });

  it('never plans for more than the batch can use', () => {
    const plan = { slots: 32, prefixSlots: 16, budgetTokens: 48_000 };
    expect(planMemory({ ...REQUEST, budgetBytes: 1e12 })).toEqual(plan);
    expect(planMemory({ ...REQUEST, budgetBytes: 1e12, overcommit: true })).toEqual(plan);
  });

  it('refuses a budget that does not hold one sequence, and says what one needs', () => {
    const request = { ...REQUEST, budgetBytes: 99_999, bytesPerToken: 4096 };
    expect(() => planMemory(request)).toThrow('one sequence of 1000 tokens needs 4 MB');
  });
});
