import { describe, expect, it } from 'vitest';
import { availableMemory } from './available-memory.ts';

const GB = 2 ** 30;

describe('availableMemory', () => {
  it.each([
    [
      'a container limit goes before what the machine has free',
      { available: 2 * GB, free: 20 * GB, total: 32 * GB },
      2,
    ],
    ['0, where there is no limit to speak of', { available: 0, free: 20 * GB, total: 32 * GB }, 20],
    ['a Node that cannot tell', { available: undefined, free: 20 * GB, total: 32 * GB }, 20],
    ['"no limit" as a huge number', { available: 2 ** 64, free: 20 * GB, total: 32 * GB }, 20],
    ['no reading that makes sense', { available: Number.NaN, free: 0, total: 32 * GB }, 8],
  ])('%s', (_, reading, gigabytes) => {
    expect(availableMemory(reading) / GB).toBe(gigabytes);
  });

  it('gives a sound amount on this machine', () => {
    expect(availableMemory()).toBeGreaterThan(0);
    expect(Number.isFinite(availableMemory())).toBe(true);
  });
});
