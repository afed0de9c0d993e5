import { runCluster, sayLogLine, sayWhatToOpen } from './cluster/run.mjs';
import { onlyKnownFlags, showHelp } from './console/command.mjs';

showHelp(
  'npm start',
  'Installs what is missing, builds, and runs Redis, one API, one worker with the bundled model and the board, until Ctrl-C.\nSettings come from the environment and .env (docs/configuration.md).',
);
onlyKnownFlags([]);
await runCluster({
  onLog: sayLogLine,
  during: async (cluster) => {
    sayWhatToOpen(cluster);
    return undefined;
  },
});
