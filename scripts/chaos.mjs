// Builds what is stale and hands over to tests/chaos, which explains itself with --help.
import { join } from 'node:path';
import { bootstrap, root } from './bootstrap.mjs';
import { fail } from './console/command.mjs';
import { runCommand } from './system/bounded.mjs';

const LIMIT_MS = 24 * 60 * 60_000;

await bootstrap().catch(fail);
const main = join(root, 'tests', 'chaos', 'dist', 'main.js');
const { code } = await runCommand(process.execPath, ['--enable-source-maps', main, ...process.argv.slice(2)], {
  limitMs: LIMIT_MS,
  cwd: root,
  inherit: true,
});
process.exit(code ?? 1);
