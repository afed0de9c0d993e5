import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { FAULTS } from './faults/index.ts';
import { describeMachine } from './machine.ts';
import { HELP, type Options, parseOptions } from './options.ts';
import { ledgerFigures, sayRequests, sayViolations } from './report.ts';
import { runRounds } from './rounds/run.ts';
import { soak } from './soak.ts';
import { progressLine, say, table } from './terminal.ts';

/** A machine that is busy with other things as well may take its time. */
const SETTLE_MS = 300_000;

const interrupted = new AbortController();
process.once('SIGINT', () => {
  say('ending early; the books are closed first (a second Ctrl-C does not wait)');
  interrupted.abort();
  process.once('SIGINT', () => process.exit(130));
});

// An exit in order takes the cluster along.
for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(143));

async function main(): Promise<boolean> {
  const options = parseOptions(process.argv.slice(2));
  if (options === undefined) {
    say(HELP);
    return true;
  }
  const machine = describeMachine();
  const figures =
    options.rounds === undefined
      ? await runSoak(options)
      : await runRounds(options.rounds, options.seed, interrupted.signal);
  if (options.json !== undefined) {
    mkdirSync(dirname(options.json), { recursive: true });
    writeFileSync(options.json, `${JSON.stringify({ machine, seed: options.seed, ...figures.json }, null, 2)}\n`);
  }
  return figures.kept;
}

async function runSoak(options: Options): Promise<{ kept: boolean; json: object }> {
  const { seed, minutes, only } = options;
  say(`chaos for ${minutes} min, seed ${seed}: ${only?.join(', ') ?? `${FAULTS.length} kinds of faults`}`);
  const { ledger, faults, largestQueue, folder } = await soak({
    ...{ seed, only, durationMs: minutes * 60_000, everyMs: options.everyMs, clients: options.clients },
    ...{
      asks: 96,
      apis: 2,
      workers: 3,
      stepDelayMs: 5,
      settleMs: SETTLE_MS,
      untilForgotten: true,
      onProgress: progressLine(),
      onViolation: (what) => say(`VIOLATION: ${what}`),
      signal: interrupted.signal,
    },
  });
  const kept = ledger.violations === 0;
  say();
  say(table(['faults', 'count'], Object.entries(faults).sort()));
  say();
  sayRequests(ledger);
  sayViolations(ledger);
  const total = Object.values(faults).reduce((sum, count) => sum + count, 0);
  say(
    `\n${total} faults, ${ledger.entries.length} requests, largest queue ${largestQueue}, ${ledger.violations} violations`,
  );
  if (!kept)
    say(
      `Logs of the processes: ${folder}\nAgain: npm run chaos -- --minutes ${minutes} --seed ${seed}${only === undefined ? '' : ` --only ${only.join(',')}`}`,
    );
  return {
    kept,
    json: { chaos: 'soak', minutes, faults: { total, ...faults }, largestQueue, ...ledgerFigures(ledger) },
  };
}

try {
  process.exit((await main()) ? 0 : 1);
} catch (error) {
  process.stderr.write(`\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exit(1);
}
