import { type Finding, ratioFinding } from '../finding.ts';
import { type Contestant, interleave } from '../interleave.ts';
import type { Child } from '../queue/child.ts';
import { median, pairedRatio } from '../statistics.ts';
import { burst } from './arrivals.ts';
import { burstRate } from './burst-rate.ts';
import type { RunningContestant, StartOptions } from './contestant.ts';
import type { LoadGeneratorCalls } from './load-generator.ts';
import { startShoal } from './shoal.ts';

/** Three fillings of the batch. */
const REQUESTS = 48;
/** As often as the Prometheus of the compose profile and more: every process is asked for all that it measures. */
const SCRAPE_EVERY_MS = 1_000;

const ON = { METRICS: 'on', LOG_LEVEL: 'info', LOG_SAMPLE: '1' };
const OFF = { METRICS: 'off', LOG_LEVEL: 'silent', LOG_SAMPLE: '0' };

export interface TelemetryCostOptions extends StartOptions {
  readonly generator: Child<LoadGeneratorCalls>;
  readonly rounds: number;
  readonly seed: number;
}

/**
 * What metrics and logs cost: tokens per second of a burst with both on, scraped every second, one log line per request
 * and process, beside the same with neither. All are loaded all the while, and each idles while another answers.
 */
export async function* telemetryCost(options: TelemetryCostOptions): AsyncGenerator<Finding> {
  const { generator, rounds, seed, model } = options;
  const running: RunningContestant[] = [];
  const start = async (env: Readonly<Record<string, string>>): Promise<RunningContestant> => {
    const shoal = await startShoal(options, 'continuous', { env });
    running.push(shoal);
    return shoal;
  };
  try {
    const [on, off, again] = [await start(ON), await start(OFF), await start(OFF)];
    const works = burst(REQUESTS, seed, model.vocab);
    const contestants: Contestant[] = [
      { name: 'on', measure: () => scraped(on, () => burstRate(generator, on, works)) },
      { name: 'off', measure: () => burstRate(generator, off, works) },
      { name: 'off again', measure: () => burstRate(generator, again, works) },
    ];
    const samples = await interleave(contestants, rounds);
    const of = (name: string): readonly number[] => samples.get(name) ?? [];
    yield { name: `${REQUESTS} requests at once, metrics and logs off`, unit: 'tokens/s', value: median(of('off')) };
    yield ratioFinding('A/A: off ÷ off', pairedRatio(of('off again'), of('off')));
    yield ratioFinding('metrics and logs on ÷ off', pairedRatio(of('on'), of('off')), { atLeast: 0.97 });
  } finally {
    for (const shoal of running) await shoal.close();
  }
}

/** Asks for all metrics, again and again, while `work` goes on. */
async function scraped<T>({ metricsUrls = [] }: RunningContestant, work: () => Promise<T>): Promise<T> {
  const scrape = async (): Promise<void> => {
    for (const url of metricsUrls) await (await fetch(url)).text();
  };
  let failed: unknown;
  const timer = setInterval(() => void scrape().catch((error: unknown) => (failed = error)), SCRAPE_EVERY_MS);
  try {
    await scrape();
    return await work();
  } finally {
    clearInterval(timer);
    if (failed !== undefined) console.error(`a scrape failed: ${failed instanceof Error ? failed.message : failed}`);
  }
}
