import { expect, it } from 'vitest';
import { hueOf } from './colour.ts';
import { samplePrompts } from './prompts.ts';

it('makes as many prompts as wanted, of many kinds, with every gap filled', () => {
  const prompts = samplePrompts(50, () => 0.5);
  expect(prompts).toHaveLength(50);
  expect(new Set(prompts).size).toBeGreaterThan(10);
  expect(prompts.filter((prompt) => /[{}]|undefined/.test(prompt) || prompt.trim() === '')).toEqual([]);
  expect(prompts.filter((prompt) => prompt.startsWith('A short story'))).toHaveLength(4);
});

it('gives a job the same hue each time, and its neighbours others', () => {
  const hues = Array.from({ length: 16 }, (_, index) => hueOf(`2f1c-${index}`));
  expect(hues).toEqual(Array.from({ length: 16 }, (_, index) => hueOf(`2f1c-${index}`)));
  expect(new Set(hues).size).toBe(16);
  expect(hues.every((hue) => hue >= 0 && hue <= 360)).toBe(true);
});
