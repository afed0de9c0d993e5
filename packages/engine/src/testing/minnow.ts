import { fileURLToPath } from 'node:url';

/** The small model that the repository brings along. */
export const MINNOW: string = fileURLToPath(new URL('../../../../models/minnow', import.meta.url));

/** 64 prompts of many lengths. Whether the answers are right is not the engine's business. */
export const MIXED_PROMPTS: readonly string[] = Array.from({ length: 64 }, (_, i) => {
  const words = ['stone', 'river', 'lamp', 'window', 'bread', 'cloud', 'tiger'];
  const word = words[i % words.length] ?? '';
  const kinds = [
    `Reverse the word: ${word}`,
    `What is ${i} plus ${97 - i}?`,
    `Sort the numbers: ${[i, 3, 77 - i, 12].join(' ')}`,
    `Tell a story about a ${word}, a ${words[(i + 3) % words.length]} and a ${words[(i + 5) % words.length]}.`,
    word.slice(0, 1),
  ];
  return kinds[i % kinds.length] ?? '';
});
