import { expect, test } from 'vitest';
import { shorten } from './shorten.ts';

test('what is short is shown as it is', () => {
  const value = { v: 1, prompt: 'hi', params: { stop: ['a'], seed: null } };
  expect(shorten(value)).toEqual(value);
});

test('long texts, arrays, objects and depths are cut, with a note', () => {
  expect(shorten('x'.repeat(1500))).toBe(`${'x'.repeat(1000)}… (500 more characters)`);
  expect(shorten(Array(60).fill(1))).toEqual([...Array(50).fill(1), '… (10 more)']);
  const wide = Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`field${index}`, index]));
  expect(Object.keys(shorten(wide) as object)).toHaveLength(51);
  const deep = JSON.parse(`${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`);
  expect(JSON.stringify(shorten(deep))).toBe(`${'{"a":'.repeat(8)}"… (deeper levels left out)"${'}'.repeat(8)}`);
});
