import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { tryMutant } from './trial.mjs';

/** Stands in for vitest: in each test file named, `has WORD` passes when the code has the word, `fails` never does. */
const VITEST = `
import { readFileSync, writeFileSync } from 'node:fs';
const args = process.argv.slice(2);
const testResults = args.filter((arg) => arg.endsWith('.test.ts')).map((file) => {
  const [verb, word] = readFileSync(file, 'utf8').split(' ');
  const status = verb === 'has' && readFileSync('code.ts', 'utf8').includes(word) ? 'passed' : 'failed';
  return { name: process.cwd() + '/' + file, status, assertionResults: [{ status, fullName: verb, failureMessages: ['no'] }] };
});
const report = args.find((arg) => arg.startsWith('--outputFile='))?.slice('--outputFile='.length);
writeFileSync(report, JSON.stringify({ testResults }));
process.exit(testResults.some(({ status }) => status === 'failed') ? 1 : 0);
`;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shoal-trial-'));
  write('node_modules/typescript/bin/tsc', '');
  write('node_modules/vitest/vitest.mjs', VITEST);
  write('code.ts', 'the fence');
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(file: string, text: string): void {
  mkdirSync(dirname(join(folder, file)), { recursive: true });
  writeFileSync(join(folder, file), text);
}

/** The verdict on code without its fence, by test files of these texts. */
async function verdictOf(...texts: string[]) {
  const tests = texts.map((_, index) => `${index}.test.ts`);
  for (const [index, text] of texts.entries()) write(`${index}.test.ts`, text);
  const mutant = { name: 'fence-removed', breaks: '', file: 'code.ts', search: 'fence', replace: 'gap', tests };
  const outcome = await tryMutant(folder, mutant);
  expect(readFileSync(join(folder, 'code.ts'), 'utf8')).toBe('the fence');
  return outcome;
}

test('a mutant is caught by a test that fails with it and passes without it', async () => {
  expect(await verdictOf('has fence')).toMatchObject({ verdict: 'caught', why: 'has: no' });
});

test('a mutant that no test notices survives', async () => {
  expect(await verdictOf('has the')).toMatchObject({ verdict: 'survived' });
});

test('a test that fails without the mutant, too, has caught nothing', async () => {
  expect(await verdictOf('fails')).toMatchObject({ verdict: 'invalid', why: 'without the mutant, too: fails: no' });
});

test('only the file that failed is asked again', async () => {
  expect(await verdictOf('has fence', 'fails')).toMatchObject({ verdict: 'caught' });
});
