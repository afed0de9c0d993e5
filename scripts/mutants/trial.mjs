import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { runCommand } from '../system/bounded.mjs';

const BUILD_LIMIT_MS = 3 * 60_000;
const TESTS_LIMIT_MS = 8 * 60_000;

/** @typedef {import('./list.mjs').Mutant} Mutant */
/**
 * What became of a mutant: `caught` by a failing test, `survived`, or `invalid` (it does not build, a test file does not
 * load, the tests did not end in time, or fail without the mutant, too): then nobody knows.
 * @typedef {{ verdict: 'caught' | 'survived' | 'invalid', why: string, seconds: number }} Outcome
 */
/** What one run of tests showed, and in which file a test failed. @typedef {Omit<Outcome, 'seconds'> & { failedIn?: string }} Run */

/**
 * Why a mutant does not fit the code any more; nothing when it does.
 * @param {string} root @param {Mutant} mutant @returns {string | undefined}
 */
export function staleReason(root, { name, file, search, replace, tests }) {
  if (!existsSync(join(root, file))) return `${name}: there is no ${file}`;
  const times = readFileSync(join(root, file), 'utf8').split(search).length - 1;
  if (times !== 1) return `${name}: what it replaces is found ${times} times in ${file}`;
  if (search === replace) return `${name}: it changes nothing`;
  const missing = tests.find((test) => !existsSync(join(root, test)));
  return missing === undefined ? undefined : `${name}: there is no ${missing}`;
}

/**
 * Applies a mutant, builds and tests, and puts the code back. The test file that failed must then pass, or it did not
 * fail for the mutant.
 * @param {string} folder the copy of the tree @param {Mutant} mutant @returns {Promise<Outcome>}
 */
export async function tryMutant(folder, { file, search, replace, tests, only }) {
  const startedAt = performance.now();
  const path = join(folder, file);
  const original = readFileSync(path, 'utf8');
  const what = { tests, builds: workspacesOf(folder, [file, ...tests]), ...(only === undefined ? {} : { only }) };
  // As a function: `$` means something in a replacement.
  writeFileSync(
    path,
    original.replace(search, () => replace),
  );
  let mutated;
  try {
    mutated = await runTests(folder, what);
  } finally {
    writeFileSync(path, original);
  }
  const { failedIn, verdict, why } = mutated;
  const seconds = () => (performance.now() - startedAt) / 1000;
  if (failedIn === undefined) return { verdict, why, seconds: seconds() };
  const restored = await runTests(folder, { ...what, tests: tests.filter((test) => failedIn.endsWith(`/${test}`)) });
  if (restored.verdict === 'survived') return { verdict, why, seconds: seconds() };
  return { verdict: 'invalid', why: `without the mutant, too: ${restored.why}`, seconds: seconds() };
}

/**
 * Builds, and runs test files up to the first failure.
 * @param {string} folder
 * @param {{ tests: string[], builds: string[], only?: string }} what
 * @returns {Promise<Run>}
 */
export async function runTests(folder, { tests, builds, only }) {
  const tsc = join(folder, 'node_modules', 'typescript', 'bin', 'tsc');
  const build = await run(folder, [tsc, '-b', ...builds], BUILD_LIMIT_MS);
  if (build.code !== 0) return { verdict: 'invalid', why: `it does not build: ${firstLine(build.output)}` };
  const scratch = mkdtempSync(join(tmpdir(), 'shoal-mutant-'));
  try {
    const report = join(scratch, 'report.json');
    const vitest = join(folder, 'node_modules', 'vitest', 'vitest.mjs');
    const filter = only === undefined ? [] : ['-t', only];
    const reporter = ['--reporter=json', `--outputFile=${report}`];
    const { code, output } = await run(
      folder,
      [vitest, 'run', '--bail=1', ...reporter, ...filter, ...tests],
      TESTS_LIMIT_MS,
    );
    if (!existsSync(report)) return { verdict: 'invalid', why: `the tests gave no report: ${firstLine(output)}` };
    return judge(JSON.parse(readFileSync(report, 'utf8')), code);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/**
 * @typedef {{ status: string, fullName: string, failureMessages?: string[] }} Assertion
 * @typedef {{ name: string, status: string, message?: string, assertionResults: Assertion[] }} TestFile
 * @param {{ testResults: TestFile[] }} results vitest's report
 * @param {number | null} code
 * @returns {Run}
 */
function judge({ testResults }, code) {
  for (const { name, assertionResults } of testResults) {
    const failed = assertionResults.find(({ status }) => status === 'failed');
    if (failed === undefined) continue;
    const why = `${failed.fullName}: ${firstLine(failed.failureMessages?.[0] ?? '')}`;
    return { verdict: 'caught', why, failedIn: name };
  }
  const assertions = testResults.flatMap((file) => file.assertionResults);
  const broken = testResults.find(({ status }) => status === 'failed');
  if (broken !== undefined)
    return { verdict: 'invalid', why: `a test file does not load: ${firstLine(broken.message ?? '')}` };
  if (!assertions.some(({ status }) => status === 'passed')) return { verdict: 'invalid', why: 'no test ran' };
  if (code !== 0) return { verdict: 'invalid', why: 'the tests passed, and the run failed' };
  return { verdict: 'survived', why: 'no test noticed it' };
}

/**
 * The packages, apps and other folders that tsc builds before these files can run: their own, and what those refer to.
 * @param {string} folder @param {string[]} files @returns {string[]}
 */
export function workspacesOf(folder, files) {
  const owners = files.map((file) => {
    let owner = dirname(file);
    while (owner !== '.' && !existsSync(join(folder, owner, 'package.json'))) owner = dirname(owner);
    // Tests that span rooms need all of them.
    return existsSync(join(folder, owner, 'tsconfig.json')) ? owner : '.';
  });
  return owners.includes('.') ? ['.'] : [...new Set(owners)];
}

/** @param {string} folder @param {string[]} args @param {number} limitMs */
function run(folder, args, limitMs) {
  const env = { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' };
  return runCommand(process.execPath, args, { limitMs, cwd: folder, env });
}

/** @param {string} text */
function firstLine(text) {
  return (
    text
      .split('\n')
      .find((line) => line.trim() !== '')
      ?.trim()
      .slice(0, 300) ?? ''
  );
}
