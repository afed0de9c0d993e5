/** What the bundled model can answer, as texts to go on from: models/minnow/README.md has its families. */
const TEMPLATES = [
  '{n} + {m} =',
  'A short story about a {animal} and a {thing}:',
  '{m} - 7 =',
  'The reverse of {thing} is',
  'The capital of {country} is',
  'The larger of {n} and {m} is',
  'The day before {day} is',
  '{n}, {m}, 21 sorted:',
  '{animal} in capitals:',
  'The opposite of {adjective} is',
  'The letters of {animal} sorted:',
  'The sum of {n} and {m} is',
  'The month after {month} is',
  '{thing} 3 times:',
  'The colour of a {coloured} is',
] as const;

const WORDS: Readonly<Record<string, readonly string[]>> = {
  animal: ['fox', 'goat', 'robin', 'whale', 'frog', 'owl', 'horse', 'mouse'],
  thing: ['lantern', 'candle', 'button', 'castle', 'river', 'book', 'planet', 'storm'],
  country: ['France', 'Japan', 'Cuba', 'Italy', 'Norway', 'Spain'],
  day: ['Monday', 'Thursday', 'Sunday', 'Friday'],
  month: ['March', 'September', 'June', 'December'],
  adjective: ['hot', 'early', 'big', 'happy'],
  coloured: ['lemon', 'leaf', 'tomato', 'crow'],
};

const SMALLEST = 10;
const LARGEST = 99;

/** A mixed lot: sums of a few tokens between stories of hundreds. `random` gives numbers from 0 to below 1. */
export function samplePrompts(count: number, random: () => number): string[] {
  const pick = (words: readonly string[]): string => words[Math.floor(random() * words.length)] ?? '';
  const number = (): string => String(SMALLEST + Math.floor(random() * (LARGEST - SMALLEST + 1)));
  return Array.from({ length: count }, (_, index) =>
    (TEMPLATES[index % TEMPLATES.length] ?? '').replace(/\{(\w+)\}/g, (_match, name: string) => {
      const words = WORDS[name];
      return words === undefined ? number() : pick(words);
    }),
  );
}
