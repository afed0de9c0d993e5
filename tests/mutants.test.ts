import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { mutants } from '../scripts/mutants/list.mjs';

const ROOT = join(import.meta.dirname, '..');

test.each(mutants)('mutant $name fits the code that it breaks', ({ file, search, replace, tests }) => {
  // `npm run mutants` takes long and is run by hand: until then nobody would see that the code has moved on.
  expect(readFileSync(join(ROOT, file), 'utf8').split(search)).toHaveLength(2);
  expect(replace).not.toBe(search);
  for (const path of tests) expect(existsSync(join(ROOT, path)), path).toBe(true);
});

test('no two mutants have the same name', () => {
  expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length);
});
