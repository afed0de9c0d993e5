import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bootstrap, root } from './bootstrap.mjs';
import { findBrowser } from './browser.mjs';
import { fail, showHelp } from './console/command.mjs';
import { say, step } from './console/terminal.mjs';
import { runCommand } from './system/bounded.mjs';

const TESTS_LIMIT_MS = 20 * 60_000;

showHelp(
  'npm test [-- FILTER … --vitest-options]',
  'Installs what is missing, builds, and runs every test that needs no GPU, on a Redis of its own.\nWhat follows -- is passed to vitest: `npm test -- packages/queue`, `npm test -- -t "a bad job"`.',
);
await bootstrap().catch(fail);
const passedOn = process.argv.slice(2);
// Once, before the test files ask for it side by side.
if (passedOn.length === 0) await step('looking for a browser', () => findBrowser({ log: say }));

// Tests make their temporary folders in it, so that none of them is left behind.
const folder = mkdtempSync(join(tmpdir(), 'shoal-test-'));
const report = join(folder, 'report.json');
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
const { code } = await runCommand(process.execPath, [vitest, 'run', ...reporters, ...passedOn], {
  limitMs: TESTS_LIMIT_MS,
  cwd: root,
  env: { ...process.env, TMPDIR: folder },
  inherit: true,
});
const summary = existsSync(report) ? count(JSON.parse(readFileSync(report, 'utf8'))) : undefined;
rmSync(folder, { recursive: true, force: true });
if (!summary) fail(new Error('vitest ended without a report'));
say(`\n${summary.passed} passed, ${summary.failed} failed, ${summary.skipped} skipped`);
process.exit(code ?? 1);

/**
 * @typedef {{ status: string }} Assertion
 * @param {{ testResults: { status: string, assertionResults: Assertion[] }[] }} results vitest's JSON report.
 */
function count({ testResults }) {
  const assertions = testResults.flatMap((file) => file.assertionResults);
  const having = (/** @type {string} */ status) => assertions.filter((assertion) => assertion.status === status).length;
  // A file that failed before its first test counts as one failure.
  const broken = testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.every((assertion) => assertion.status !== 'failed'),
  ).length;
  const passed = having('passed');
  const failed = having('failed') + broken;
  return { passed, failed, skipped: assertions.length - passed - having('failed') };
}
