import { describe, expect, it } from 'vitest';
import { planMemory } from './memory-plan.ts';

const REQUEST = { budgetBytes: 1_000_000, bytesPerToken: 100, maxModelLen: 1000, maxBatchSize: 32, overcommit: false };

describe('planMemory', () => {
  it('without overcommit gives whole rows that fit the budget', () => {
    expect(planMemory(REQUEST)).toEqual({ slots: 10, budgetTokens: 10_000 });
    expect(planMemory({ ...REQUEST, budgetBytes: 1_099_999 })).toEqual({ slots: 10, budgetTokens: 10_000 });
  });

  it('with overcommit gives every slot, and the tokens that fit', () => {
    expect(planMemory({ ...REQUEST, overcommit: true })).toEqual({ slots: 32, budgetTokens: 10_000 });
  });

  it('never plans for more than the batch can use', () => {
    expect(planMemory({ ...REQUEST, budgetBytes: 1e12 })).toEqual({ slots: 32, budgetTokens: 32_000 });
    expect(planMemory({ ...REQUEST, budgetBytes: 1e12, overcommit: true })).toEqual({
      slots: 32,
      budgetTokens: 32_000,
    });
  });

  it('refuses a budget that does not hold one sequence, and says what one needs', () => {
    const request = { ...REQUEST, budgetBytes: 99_999, bytesPerToken: 4096 };
    expect(() => planMemory(request)).toThrow('one sequence of 1000 tokens needs 4 MB');
  });
});
