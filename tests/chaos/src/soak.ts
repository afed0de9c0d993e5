import { setTimeout as sleep } from 'node:timers/promises';
import { ChaosCluster } from './cluster/cluster.ts';
import { Conductor, planStrikes } from './faults/conductor.ts';
import { FAULTS } from './faults/index.ts';
import { findLeaks, measureBaseline, untilIdle } from './ledger/baseline.ts';
import { judgeStops } from './ledger/lateness.ts';
import { Ledger } from './ledger/ledger.ts';
import { Timeline } from './ledger/timeline.ts';
import { askCatalogue } from './load/ask.ts';
import { findUnknownJobs } from './load/job-list.ts';
import { MixedLoad } from './load/mixed-load.ts';
import { findChangedAnswers, undisturbedAnswers } from './load/reference.ts';
import { Random } from './random.ts';

export interface SoakOptions {
  seed: number;
  durationMs: number;
  /** Names of faults; all when left out. */
  only?: readonly string[] | undefined;
  /** Mean time between the beginnings of two faults. */
  everyMs: number;
  clients: number;
  /** Different things that are asked. */
  asks: number;
  apis: number;
  workers: number;
  stepDelayMs: number;
  /** When everything is whole again, everybody must be served, and everything at rest, within this. */
  settleMs: number;
  /** Waits at the end until every result is forgotten, so that keys left behind show. */
  untilForgotten: boolean;
  /** Called about every second. */
  onProgress: (progress: Progress) => void;
  /** Called once for each broken promise, when it shows. */
  onViolation?: (what: string) => void;
  signal: AbortSignal;
}

export interface Progress {
  phase: string;
  secondsLeft: number;
  faults: number;
  current: readonly string[];
  requests: number;
  streaming: number;
  violations: number;
}

export interface SoakOutcome {
  ledger: Ledger;
  faults: Readonly<Record<string, number>>;
  /** Most jobs that were seen waiting. */
  largestQueue: number;
  folder: string;
}

const MAX_QUEUE_SIZE = 200;
const MAX_BATCH_SIZE = 8;
const LOCK_MS = 2_000;
const STEP_TIMEOUT_MS = 10_000;
/**
 * Longer than any outage here: a reader finds its answer when it comes back. Where nobody waits until it is forgotten, so
 * long that a result which is gone was lost.
 */
const RESULT_TTL_S = { forgotten: 90, kept: 900 };
/** The deadline of jobs: a machine that is busy with other things as well may take its time, and lose nothing. */
const MAX_QUEUE_WAIT_MS = 300_000;

/** Short locks and limits: a dead worker is found soon, and what is left behind is gone soon. */
const SETTINGS = {
  MAX_BATCH_SIZE: String(MAX_BATCH_SIZE),
  MAX_QUEUE_SIZE: String(MAX_QUEUE_SIZE),
  MAX_QUEUE_WAIT_MS: String(MAX_QUEUE_WAIT_MS),
  LOCK_DURATION_MS: String(LOCK_MS),
  STALLED_INTERVAL_MS: String(LOCK_MS / 2),
  STEP_TIMEOUT_MS: String(STEP_TIMEOUT_MS),
  DRAIN_TIMEOUT_MS: '1000',
  SHUTDOWN_TIMEOUT_MS: '1000',
};

/** Mixed load on a cluster while faults are injected; then everything heals, and the books are closed. */
export async function soak(options: SoakOptions): Promise<SoakOutcome> {
  const { seed, onProgress, onViolation, settleMs, signal } = options;
  const random = new Random(seed);
  const [asking, behaving, striking] = [random.fork(), random.fork(), random.fork()];
  const resultTtlS = options.untilForgotten ? RESULT_TTL_S.forgotten : RESULT_TTL_S.kept;
  const ledger = new Ledger(new Timeline(), { onViolation, keptMs: resultTtlS * 1000 });
  const { apis, workers, stepDelayMs } = options;
  let conductor: Conductor | undefined;
  const say = (phase: string, secondsLeft: number = 0): void => {
    const { streaming, violations, entries } = ledger;
    const { count = 0, current = [] } = conductor ?? {};
    onProgress({
      phase,
      secondsLeft,
      faults: count,
      current: [...current],
      requests: entries.length,
      streaming,
      violations,
    });
  };
  say('starting');
  const { timeline } = ledger;
  const env = { ...SETTINGS, RESULT_TTL_S: String(resultTtlS) };
  const cluster = await ChaosCluster.start({ apis, workers, stepDelayMs, timeline, board: true, env });
  let failed = true;
  try {
    const asks = askCatalogue(asking, options.asks, [40, 300]);
    const urls = cluster.apis.map(({ url }) => url);
    say('asking undisturbed');
    const answers = await undisturbedAnswers(urls[0] ?? '', asks);
    // Connections to a model's queue are opened by its first request: each API has had one before they are counted.
    for (const url of urls.slice(1)) await undisturbedAnswers(url, asks.slice(0, 1));
    const before = await measureBaseline(cluster);

    const load = new MixedLoad({
      ledger,
      apis: urls,
      asks,
      answers,
      random: behaving,
      clients: options.clients,
      pauseMs: 300,
    });
    conductor = new Conductor({ cluster, ledger, load, lockMs: LOCK_MS, stepTimeoutMs: STEP_TIMEOUT_MS });
    const chosen = FAULTS.filter(({ name }) => options.only?.includes(name) ?? true);
    const until = Date.now() + options.durationMs;
    let largestQueue = 0;
    const watching = watch(async () => {
      const { waiting } = await cluster.probe.look();
      largestQueue = Math.max(largestQueue, waiting);
    });
    const telling = setInterval(() => {
      const left = Math.max(0, Math.round((until - Date.now()) / 1000));
      say(left > 0 ? 'breaking things' : 'waiting for the last faults to pass', left);
    }, 1_000);
    await conductor.perform(planStrikes(striking, chosen, options.durationMs, options.everyMs), signal);
    if (!signal.aborted) await sleep(Math.max(0, until - Date.now()), undefined, { signal }).catch(() => {});
    clearInterval(telling);

    say('healing');
    await cluster.heal();
    say('waiting for the last answers');
    await load.stop(settleMs);
    ledger.closeBooks();
    judgeStops(ledger);
    watching.stop();
    // What was interrupted goes back to the line although it is full.
    if (largestQueue > MAX_QUEUE_SIZE + workers * MAX_BATCH_SIZE)
      ledger.find(`${largestQueue} jobs waited, with a bound of ${MAX_QUEUE_SIZE}`);
    say('asking once more');
    await findUnknownJobs(ledger, urls[0] ?? '', settleMs);
    for (const api of cluster.apis) await findChangedAnswers(ledger, api, { asks, answers, limitMs: settleMs });
    say('coming to rest');
    const restMs = options.untilForgotten ? (resultTtlS + 30) * 1000 : settleMs;
    await untilIdle(cluster, ledger, { forgotten: options.untilForgotten, limitMs: restMs });
    await findLeaks(cluster, before, ledger, { forgotten: options.untilForgotten });
    failed = ledger.violations > 0;
    return { ledger, faults: Object.fromEntries(conductor.done), largestQueue, folder: cluster.folder };
  } finally {
    say('stopping');
    await cluster.stop({ keepLogs: failed });
  }
}

/** Looks five times a second, as long as it is let; what cannot be seen while Redis is away is seen later. */
function watch(look: () => Promise<void>): { stop(): void } {
  let running = true;
  const loop = async (): Promise<void> => {
    while (running) {
      await look().catch(() => {});
      await sleep(200);
    }
  };
  void loop();
  return {
    stop: () => {
      running = false;
    },
  };
}
