import { ChaosCluster } from '../cluster/cluster.ts';
import { Ledger } from '../ledger/ledger.ts';
import { Timeline } from '../ledger/timeline.ts';
import { askCatalogue } from '../load/ask.ts';
import { undisturbedAnswers } from '../load/reference.ts';
import { Random } from '../random.ts';
import { ledgerFigures, sayRequests, sayViolations } from '../report.ts';
import { say, table } from '../terminal.ts';
import { SCENARIOS } from './index.ts';
import type { Figures, Scenario } from './scenario.ts';

const ASKS = 128;

/** Plays scenarios one after the other, each on a cluster of its own. */
export async function runRounds(
  chosen: ReadonlyMap<string, number>,
  seed: number,
  signal: AbortSignal,
): Promise<{ kept: boolean; json: object }> {
  const scenarios: Record<string, object> = {};
  let kept = true;
  for (const scenario of SCENARIOS) {
    const rounds = chosen.get(scenario.name);
    if (rounds === undefined || signal.aborted) continue;
    say(`\n${scenario.name}: ${scenario.title}, ${rounds} rounds, seed ${seed}`);
    const startedAt = Date.now();
    const { ledger, figures } = await playScenario(scenario, rounds, seed, signal);
    kept &&= ledger.violations === 0;
    say(table(['figure', 'value'], Object.entries(figures)));
    sayRequests(ledger);
    sayViolations(ledger);
    say(`${scenario.name}: ${ledger.violations} violations`);
    const seconds = Math.round((Date.now() - startedAt) / 1000);
    scenarios[scenario.name] = { title: scenario.title, seconds, figures, ...ledgerFigures(ledger) };
  }
  return { kept, json: { chaos: 'rounds', scenarios } };
}

async function playScenario(
  scenario: Scenario,
  rounds: number,
  seed: number,
  signal: AbortSignal,
): Promise<{ ledger: Ledger; figures: Figures }> {
  const random = new Random(seed);
  const ledger = new Ledger(new Timeline());
  const { env, workers, stepDelayMs, tokens } = scenario;
  const { timeline } = ledger;
  const cluster = await ChaosCluster.start({ apis: 2, workers, board: false, env, stepDelayMs, timeline });
  try {
    const asks = askCatalogue(random.fork(), ASKS, tokens);
    const answers = await undisturbedAnswers(cluster.apis[0]?.url ?? '', asks);
    const told = (line: string): void => say(`  ${line}`);
    const figures = await scenario.play({ cluster, ledger, random, asks, answers, signal, told }, rounds);
    ledger.closeBooks();
    return { ledger, figures };
  } finally {
    await cluster.stop({ keepLogs: ledger.violations > 0 });
    if (ledger.violations > 0) say(`  logs of the processes: ${cluster.folder}`);
  }
}
