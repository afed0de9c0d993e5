// What `npm start` and `npm run demo` share: bring everything up, keep it up, take it down in order.
import { bootstrap } from '../bootstrap.mjs';
import { blue, bold, cyan, dim, green, interactive, magenta, pad, say, step, yellow } from '../console/terminal.mjs';
import { readDotenv, startCluster } from './cluster.mjs';
import { readable } from './log-lines.mjs';

/** @type {Record<string, (text: string) => string>} */
const COLOURS = { api: cyan, worker: magenta, board: blue, redis: yellow };

/**
 * Starts everything and keeps it up until Ctrl-C, or until `during` says that it is done.
 * @param {object} options
 * @param {(line: { name: string, text: string, level: number }) => void} options.onLog
 * @param {NodeJS.ProcessEnv} [options.env]
 * @param {(cluster: import('./cluster.mjs').Cluster) => Promise<number | undefined>} [options.during] Returns an exit
 *   code to end with, or undefined to stay up.
 * @returns {Promise<never>}
 */
export async function runCluster({ onLog, env, during }) {
  const interrupted = new AbortController();
  /** @type {import('./cluster.mjs').Cluster | undefined} */
  let cluster;
  let exitCode = 0;
  try {
    // Until something runs that deserves an orderly end, Ctrl-C simply ends this process.
    await bootstrap();
    readDotenv();
    onInterrupt(interrupted, () => cluster?.kill());
    say();
    const notes = /** @type {string[]} */ ([]);
    cluster = await step('starting Redis, the API, a worker and the board', () =>
      startCluster({
        ...(env === undefined ? {} : { env }),
        log: (line) => notes.push(line),
        signal: interrupted.signal,
        onLine: (name, line) => onLog({ name, ...readable(line) }),
      }),
    );
    for (const note of notes) say(`    ${dim(note)}`);
    const stop = new Promise((resolve) => interrupted.signal.addEventListener('abort', resolve, { once: true }));
    const broken = cluster.broken.then((reason) => {
      if (!interrupted.signal.aborted) throw new Error(reason);
    });
    const code = await Promise.race([during?.(cluster), stop.then(() => 0), broken.then(() => 0)]);
    if (code === undefined && !interrupted.signal.aborted) await Promise.race([stop, broken]);
    exitCode = code ?? 0;
  } catch (error) {
    exitCode = 1;
    if (!interrupted.signal.aborted)
      process.stderr.write(`\n${error instanceof Error ? error.message : String(error)}\n`);
  }
  if (interrupted.signal.aborted) say();
  interrupted.abort();
  if (cluster)
    await step('stopping the board, the API, the worker and Redis', () =>
      /** @type {NonNullable<typeof cluster>} */ (cluster).stop(),
    );
  process.exit(exitCode);
}

/** The first Ctrl-C asks for an orderly end, the second insists. @param {AbortController} interrupted @param {() => void} kill */
function onInterrupt(interrupted, kill) {
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.on(signal, () => {
      if (!interrupted.signal.aborted) return interrupted.abort();
      say('  ending everything at once');
      kill();
      process.exit(130);
    });
  }
}

/** @param {import('./cluster.mjs').Cluster} cluster */
export function sayWhatToOpen(cluster) {
  const body = JSON.stringify({
    model: cluster.model,
    messages: [{ role: 'user', content: 'What is 12 plus 30?' }],
    temperature: 0,
  });
  say();
  say(`  ${bold('Playground')}  ${cyan(cluster.apiUrl)}`);
  say(
    `  ${bold('Board')}       ${cyan(cluster.boardUrl)}  ${dim('user')} ${cluster.boardUser}  ${dim('password')} ${cluster.boardPassword}`,
  );
  say(`  ${bold('Metrics')}     ${cyan(`${cluster.apiUrl}/metrics`)}`);
  // One of the user's own may have its password in the address.
  if (cluster.redis.source !== 'REDIS_URL') say(`  ${bold('Redis')}       ${cyan(cluster.redis.url)}`);
  say(`  ${bold('Ask')}         curl -s ${cluster.apiUrl}/v1/chat/completions -H 'content-type: application/json' \\`);
  if (cluster.asksForKey) say(`                -H 'authorization: Bearer <one of API_KEYS>' \\`);
  say(`                -d '${body}'`);
  say();
  say(`  ${green('●')} up; ${bold('Ctrl-C')} stops everything in order`);
  say();
}

/** One line of one process, its name in front. @param {{ name: string, text: string }} line */
export function sayLogLine({ name, text }) {
  const colour = COLOURS[name] ?? dim;
  const clear = interactive ? '\r\u001b[2K' : '';
  process.stdout.write(`${clear}  ${colour(pad(name, 6))} ${dim('│')} ${text}\n`);
}
