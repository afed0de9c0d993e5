import { differenceFinding, type Finding, ratioFinding } from '../finding.ts';
import { type Contestant, interleave } from '../interleave.ts';
import type { Child } from '../queue/child.ts';
import { median, type PairedDifference, pairedDifference, pairedRatio } from '../statistics.ts';
import { type Arrival, burst } from './arrivals.ts';
import { startBareChain } from './bare-chain.ts';
import { burstRate } from './burst-rate.ts';
import type { RunningContestant, StartOptions } from './contestant.ts';
import type { EngineCalls } from './engine-calls.ts';
import type { LoadGeneratorCalls } from './load-generator.ts';
import type { LoneTime } from './lone-caller.ts';
import { startShoal } from './shoal.ts';

/** Six fillings of the batch: what begins and ends a burst is a small part of it. */
const REQUESTS = 96;
const LONE: Arrival = { atMs: 0, prompt: Array.from({ length: 16 }, (_, i) => 97 + i), maxTokens: 4 };
/** Fields that ask for one JSON object instead of a stream. */
const WHOLE = { stream: false, stream_options: null };

export interface AddedCostOptions extends StartOptions {
  readonly generator: Child<LoadGeneratorCalls>;
  readonly rounds: number;
  /** Lone requests of each kind. */
  readonly lone: number;
  readonly seed: number;
}

/**
 * What API, queue and worker add to the engine: tokens per second of one burst, and the time of a request that comes
 * alone, beside what the barest chain of such processes adds to its own. Each is compared with the very engine that its
 * worker has, asked past them. All are loaded all the while, and each idles while another answers. The lone request is
 * also measured with a core left to all but the model: what it loses to them by sharing its cores is the burst's matter.
 */
export async function* addedCost(options: AddedCostOptions): AsyncGenerator<Finding> {
  yield* withShoalAndChain(options, async function* (shoal, chain) {
    yield* burstCost(options, shoal, chain);
    yield* loneCost({ ...options, shoal, chain, where: 'the model on every core' });
  });
  if (options.threads === 1) return;
  yield* withShoalAndChain({ ...options, threads: 1 }, (shoal, chain) =>
    loneCost({ ...options, shoal, chain, where: 'the model on one core' }),
  );
}

async function* withShoalAndChain(
  options: StartOptions,
  measure: (shoal: RunningContestant, chain: RunningContestant) => AsyncGenerator<Finding>,
): AsyncGenerator<Finding> {
  const running: RunningContestant[] = [];
  try {
    const shoal = await startShoal(options, 'continuous', { door: true });
    running.push(shoal);
    const chain = await startBareChain(options);
    running.push(chain);
    yield* measure(shoal, chain);
  } finally {
    for (const one of running) await one.close();
  }
}

async function* burstCost(
  { generator, rounds, seed, model }: AddedCostOptions,
  shoal: RunningContestant,
  chain: RunningContestant,
): AsyncGenerator<Finding> {
  const engine = engineOf(shoal);
  const engineOfChain = engineOf(chain);
  const works = burst(REQUESTS, seed, model.vocab);
  const contestants: Contestant[] = [
    { name: 'shoal', measure: () => burstRate(generator, shoal, works) },
    { name: 'engine', measure: () => engine.burst(works) },
    { name: 'engine again', measure: () => engine.burst(works) },
    { name: 'chain', measure: () => burstRate(generator, chain, works) },
    { name: 'engine of the chain', measure: () => engineOfChain.burst(works) },
  ];
  const samples = await interleave(contestants, rounds);
  const of = (name: string): readonly number[] => samples.get(name) ?? [];
  yield { name: `${REQUESTS} requests at once, engine alone`, unit: 'tokens/s', value: median(of('engine')) };
  yield ratioFinding('A/A: engine alone ÷ engine alone', pairedRatio(of('engine again'), of('engine')));
  yield ratioFinding('through API and Redis ÷ engine alone', pairedRatio(of('shoal'), of('engine')), {
    atLeast: 0.93,
  });
  yield ratioFinding('through a bare chain ÷ engine alone', pairedRatio(of('chain'), of('engine of the chain')));
}

interface LoneCostOptions extends Pick<AddedCostOptions, 'generator' | 'lone'> {
  readonly shoal: RunningContestant;
  readonly chain: RunningContestant;
  /** Where the model runs, in words. */
  readonly where: string;
}

async function* loneCost({ generator, lone, shoal, chain, where }: LoneCostOptions): AsyncGenerator<Finding> {
  const engine = engineOf(shoal);
  const engineOfChain = engineOf(chain);
  const through: LoneTime[] = [];
  const whole: LoneTime[] = [];
  const alone: LoneTime[] = [];
  const bare: LoneTime[] = [];
  const bareAlone: LoneTime[] = [];
  const kinds = [
    async () => through.push(await timeOf(generator, shoal)),
    async () => bare.push(await timeOf(generator, chain)),
    async () => alone.push(await engine.lone(LONE)),
    async () => whole.push(await timeOf(generator, shoal, WHOLE)),
    async () => bareAlone.push(await engineOfChain.lone(LONE)),
  ];
  // What ran before has the caches: each comes after each.
  for (let round = 0; round < lone; round++) {
    for (let turn = 0; turn < kinds.length; turn++) await kinds[(((round % 4) + 1) * turn) % kinds.length]?.();
  }
  yield { name: `a lone request of 4 tokens, engine alone, ${where}, p50`, unit: 'ms', value: median(alone.map(all)) };
  for (const [kind, times] of [
    ['that is answered as a whole', whole],
    ['that is streamed', through],
  ] as const) {
    const name = `added by API, queue and worker to a lone request ${kind}, ${where}, p50`;
    yield differenceFinding(name, added(times, alone, all), { atMost: 5 });
    const outside = `of that outside the engine, for a lone request ${kind}, ${where}`;
    yield differenceFinding(outside, added(times, alone, outsideEngine));
  }
  const name = `the same, streamed, ${where}, for a bare chain: HTTP, a Redis list, a thread, a Redis stream`;
  yield differenceFinding(name, added(bare, bareAlone, all));
  const first = `added until the first token of a lone request that is streamed, ${where}, p50`;
  yield differenceFinding(first, added(through, alone, toFirstToken));
}

function all({ ms }: LoneTime): number {
  return ms;
}

/** What is neither in the model nor lost because others compute beside it: it differs little from one to the next. */
function outsideEngine({ ms, engineMs = Number.NaN }: LoneTime): number {
  return ms - engineMs;
}

function toFirstToken({ firstMs = Number.NaN }: LoneTime): number {
  return firstMs;
}

function added(
  through: readonly LoneTime[],
  alone: readonly LoneTime[],
  part: (time: LoneTime) => number,
): PairedDifference {
  return pairedDifference(through.map(part), alone.map(part));
}

function engineOf({ engine }: RunningContestant): EngineCalls {
  if (engine === undefined) throw new Error('its worker has no way to its engine');
  return engine;
}

function timeOf(
  generator: Child<LoadGeneratorCalls>,
  { url, fields }: RunningContestant,
  more: Readonly<Record<string, unknown>> = {},
): Promise<LoneTime> {
  const { prompt, maxTokens } = LONE;
  return generator.call('lone', { url, body: { ...fields, ...more, prompt, max_tokens: maxTokens } });
}
