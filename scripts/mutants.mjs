// Breaks critical code on purpose, one place at a time, in a copy of the tree, and asks the tests that guard it to notice.
import { resolve } from 'node:path';
import { bootstrap, root } from './bootstrap.mjs';
import { fail, showHelp } from './console/command.mjs';
import { CROSS, dim, red, say, shorten, step, TICK, table } from './console/terminal.mjs';
import { mutants } from './mutants/list.mjs';
import { readOptions } from './mutants/options.mjs';
import { noteOutcome } from './mutants/results.mjs';
import { copyTree } from './mutants/tree-copy.mjs';
import { runTests, staleReason, tryMutant, workspacesOf } from './mutants/trial.mjs';

showHelp(
  'npm run mutants [-- --only NAME,… --json FILE]',
  'Breaks critical code on purpose, in a copy of the tree, one place at a time, and runs the tests that guard it.\n' +
    'Every break must be noticed by a failing test. Exit code 1: one was not, or a mutant no longer fits the code.',
  [
    ['--only=NAME,…', 'these mutants alone: names, or parts of them'],
    ['--list', 'name the mutants and the promises that they break'],
    ['--json=FILE', 'note the outcomes in a file; what it says of other mutants stays'],
  ],
);
const options = readOptions(process.argv.slice(2));
const chosen = mutants.filter(
  ({ name }) => options.only.length === 0 || options.only.some((part) => name.includes(part)),
);
if (chosen.length === 0) fail(new Error('no mutant has such a name; --list tells them'));
if (options.list) {
  say(
    table(
      [{ title: 'mutant' }, { title: 'breaks' }],
      chosen.map(({ name, breaks }) => [name, breaks]),
    ),
  );
  process.exit(0);
}
const stale = chosen.flatMap((mutant) => staleReason(root, mutant) ?? []);
if (stale.length > 0)
  fail(new Error(`mutants that no longer fit the code:\n${stale.map((line) => `  ${line}`).join('\n')}`));

// An end by `exit` takes along what was started, and the copy.
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']))
  process.once(signal, () => process.exit(1));
await bootstrap().catch(fail);
const tree = await step('copying the tree', async () => copyTree(root)).catch(fail);
try {
  const tests = [...new Set(chosen.flatMap((mutant) => mutant.tests))];
  await step(`running the ${tests.length} test files as they are`, () => requirePass(tests)).catch(fail);
  const outcomes = [];
  for (const mutant of chosen) {
    const outcome = await tryMutant(tree.folder, mutant);
    const mark = outcome.verdict === 'caught' ? TICK : CROSS;
    say(`  ${mark} ${mutant.name} ${dim(`${outcome.verdict} (${outcome.seconds.toFixed(1)} s)`)}`);
    outcomes.push({ ...mutant, ...outcome });
    if (options.json !== undefined) noteOutcome(resolve(options.json), { ...mutant, ...outcome }, mutants);
  }
  report(outcomes);
  process.exitCode = outcomes.every(({ verdict }) => verdict === 'caught') ? 0 : 1;
} finally {
  tree.remove();
}

/** A test that fails without a mutant would catch every one. @param {string[]} tests */
async function requirePass(tests) {
  const { verdict, why } = await runTests(tree.folder, { tests, builds: workspacesOf(tree.folder, tests) });
  if (verdict !== 'survived') throw new Error(`the tests fail as the code is: ${why}`);
}

/** @param {import('./mutants/results.mjs').Row[]} outcomes */
function report(outcomes) {
  const heads = [{ title: 'mutant' }, { title: 'verdict' }, { title: 'noticed by' }];
  const rows = outcomes.map(({ name, verdict, why }) => [
    name,
    verdict === 'caught' ? verdict : red(verdict),
    shorten(why, 90),
  ]);
  const caught = outcomes.filter(({ verdict }) => verdict === 'caught').length;
  say(`\n${table(heads, rows)}\n\n  ${caught} of ${outcomes.length} caught`);
}
