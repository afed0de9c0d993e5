import { expect, it } from 'vitest';
import { Deafness } from './deafness.ts';

/** Looks every second from `from` on that all find something untold; the seconds at which the connection is made anew. */
function renewals(deafness: Deafness, from: number, seconds: number): number[] {
  const at: number[] = [];
  for (let second = from; second < from + seconds; second += 1)
    if (deafness.looked(second * 1_000, true)) at.push(second);
  return at;
}

it('makes a connection anew that told nothing for two looks, and ever less often where that does not help', () => {
  const at = renewals(new Deafness(), 0, 2_000);
  expect(at.slice(0, 5)).toEqual([1, 11, 31, 71, 151]);
  expect((at.at(-1) ?? 0) - (at.at(-2) ?? 0)).toBe(300);
});

it('leaves one that tells something, or had told all that a look found', () => {
  const deafness = new Deafness();
  for (let second = 0; second < 100; second += 1) {
    expect(deafness.looked(second * 1_000, true)).toBe(false);
    if (second % 2 === 0) deafness.told();
    else expect(deafness.looked(second * 1_000 + 500, false)).toBe(false);
  }
});

it('begins anew once something was told', () => {
  const deafness = new Deafness();
  renewals(deafness, 0, 1_000);
  deafness.told();
  expect(renewals(deafness, 2_000, 20)).toEqual([2_001, 2_011]);
});
