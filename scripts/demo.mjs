import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './bootstrap.mjs';
import { runCluster, sayLogLine, sayWhatToOpen } from './cluster/run.mjs';
import { onlyKnownFlags, showHelp } from './console/command.mjs';
import { bold, CROSS, dim, say } from './console/terminal.mjs';
import { ask } from './demo/client.mjs';
import { AnswerBoard, sayBatches, sayLongest, sayTotals } from './demo/report.mjs';

const WARNING = 40;

showHelp(
  'npm run demo [-- --once]',
  'Starts Shoal as `npm start` does, sends it a mixed set of prompts all at once, shows the answers arriving and what was\nbatched with what, and stays up until Ctrl-C.',
  [
    ['--once', 'stop after the sample; exit 0 only if every answer was right and prompts shared batches'],
    ['--verbose', 'show what the processes log, not only their warnings'],
  ],
);
onlyKnownFlags(['--once', '--verbose']);
const once = process.argv.includes('--once');
const verbose = process.argv.includes('--verbose');

await runCluster({
  // The demo talks to its own API: a key from the user's .env would only stand in the way.
  env: { API_KEYS: '', MODEL: join(root, 'models', 'minnow'), MODEL_NAME: 'minnow' },
  onLog: (line) => {
    if (verbose || line.level >= WARNING) sayLogLine(line);
  },
  during: async (cluster) => {
    const good = await sendSample(cluster);
    if (once) return good ? 0 : 1;
    sayWhatToOpen(cluster);
    return undefined;
  },
});

/**
 * @param {import('./cluster/cluster.mjs').Cluster} cluster
 * @returns {Promise<boolean>} Every answer was right, and some prompts rode together.
 */
async function sendSample(cluster) {
  /** @type {import('./demo/client.mjs').Sample[]} */
  const samples = JSON.parse(readFileSync(join(root, 'models', 'minnow', 'samples.json'), 'utf8'));
  say();
  say(
    `  ${bold(`${samples.length} prompts at once`)} ${dim('over HTTP: chat and completions, every third one streaming')}`,
  );
  say();
  const board = new AnswerBoard(samples.length);
  const startedAt = performance.now();
  const answers = await Promise.all(
    samples.map(async (sample, index) => {
      const answer = await ask(sample, {
        apiUrl: cluster.apiUrl,
        model: cluster.model,
        stream: index % 3 === 0,
        onText: (text) => board.growing(sample, text),
      });
      board.arrived(answer);
      return answer;
    }),
  );
  const elapsedMs = performance.now() - startedAt;
  board.close();
  sayBatches(answers);
  sayLongest(answers);
  sayTotals(answers, elapsedMs);

  const wrong = answers.filter((answer) => !answer.right).length;
  const together = answers.some((answer) => (answer.ride?.batchSize ?? 0) > 1);
  if (wrong > 0) say(`  ${CROSS} ${wrong} of ${answers.length} answers wrong or missing`);
  if (!together) say(`  ${CROSS} no two prompts shared a batch`);
  return wrong === 0 && together;
}
