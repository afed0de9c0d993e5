import { bootstrap } from './bootstrap.mjs';
import { fail, onlyKnownFlags, showHelp } from './console/command.mjs';
import { say, secondsSince, TICK } from './console/terminal.mjs';

showHelp('npm run build', 'Installs what is missing and builds every package and app into its dist folder.');
onlyKnownFlags([]);
const startedAt = performance.now();
await bootstrap().catch(fail);
say(`  ${TICK} everything is built (${secondsSince(startedAt)})`);
