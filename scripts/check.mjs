import { join } from 'node:path';
import { bootstrap, root } from './bootstrap.mjs';
import { fail, onlyKnownFlags, showHelp } from './console/command.mjs';
import { CROSS, dim, red, say, step } from './console/terminal.mjs';
import { staleDocs, writeDocs } from './generated-docs.mjs';
import { runCommand } from './system/bounded.mjs';

const LIMIT_MS = 5 * 60_000;

showHelp(
  'npm run check [-- --write]',
  'Checks format and lint, types, unused files and exports, generated docs, and which room imports which.',
  [['--write', 'repair what can be repaired: format, safe lint fixes, generated docs']],
);
onlyKnownFlags(['--write']);
const write = process.argv.includes('--write');

/** @param {string} name A tool of ours. @param {string[]} args */
const tool = async (name, args) => {
  const { code, output } = await runCommand(join(root, 'node_modules', '.bin', name), args, {
    limitMs: LIMIT_MS,
    cwd: root,
    env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' },
  });
  if (code !== 0) throw new Error(output.trim() || `${name} ended with ${code}`);
};

/** @type {[title: string, work: () => Promise<void>][]} */
const checks = [
  [
    'format and lint',
    () =>
      tool(
        'biome',
        write
          ? ['check', '--colors=off', '--write', '.']
          : ['check', '--colors=off', '--diagnostic-level=warn', '--error-on-warnings', '.'],
      ),
  ],
  ['types of the tests', () => tool('tsc', ['-p', 'tsconfig.tests.json'])],
  ['types of the scripts', () => tool('tsc', ['-p', 'scripts/tsconfig.json'])],
  ['unused files, exports and packages', () => tool('knip', ['--no-progress', '--no-config-hints'])],
  ['generated docs', () => checkDocs()],
  ['architecture', () => tool('vitest', ['run', 'tests/architecture.test.ts', '--reporter=dot'])],
];

async function checkDocs() {
  if (write) return writeDocs();
  const stale = await staleDocs();
  if (stale.length > 0) throw new Error(`${stale.join(', ')} not up to date; npm run check -- --write renews them`);
}

/** @type {{ title: string, output: string }[]} */
const faults = [];
// The build is the check of the sources' types.
await bootstrap().catch(fail);
for (const [title, work] of checks) {
  await step(title, work).catch((error) => faults.push({ title, output: error.message }));
}
for (const { title, output } of faults) say(`\n${CROSS} ${red(title)}\n${output}`);
say(faults.length === 0 ? dim('\n  all checks passed') : `\n  ${faults.length} of ${checks.length} checks failed`);
process.exit(faults.length === 0 ? 0 : 1);
