import { setTimeout as sleep } from 'node:timers/promises';
import type { Child } from '../queue/child.ts';
import { random, shuffled } from '../random.ts';
import { type ArrivalPattern, arrivals, burst, MEAN_ANSWER_TOKENS } from './arrivals.ts';
import type { ModelRuns, RunningContestant, ServeContestant, ServedModel, StartOptions } from './contestant.ts';
import type { LoadGeneratorCalls } from './load-generator.ts';
import { type Measures, measure, type Slo, type Window } from './measures.ts';
import { type LoadLevel, windowsOf } from './plan.ts';
import { spendingOf } from './process-tree.ts';

/** Requests of the burst that warms a contestant up: whole batches of every size that somebody uses. */
const WARM_UP = 16;
const WARM_UP_SEED = 7;
const WARM_UP_MS = 60_000;

export interface SweepOptions extends StartOptions {
  readonly model: ServedModel;
  readonly contestants: readonly ServeContestant[];
  readonly levels: readonly LoadLevel[];
  readonly rounds: number;
  readonly minutes: number;
  readonly seed: number;
  readonly slo: Slo;
  /** How long an answer may be on its way after the last arrival. */
  readonly patienceMs: number;
  /** How long (a)'s capacity is measured at least. */
  readonly capacityMs: number;
  readonly generator: Child<LoadGeneratorCalls>;
  readonly log: (line: string) => void;
}

/** One contestant at one load, pooled over the rounds. */
export interface LevelResult {
  readonly percent: number;
  readonly pattern: ArrivalPattern;
  readonly requestsPerSecond: number;
  readonly measures: Measures;
  /** Sequences per run of the model, in decode; absent where the contestant does not tell. */
  readonly meanBatch?: number;
  readonly cpuSecondsPer1000Tokens: number;
}

export interface ContestantResult {
  readonly key: string;
  readonly name: string;
  readonly precision: 'fp32' | 'q4';
  readonly family: ServeContestant['family'];
  /** Why it was not measured, or not to the end. */
  readonly absent?: string;
  readonly peakMb?: number;
  readonly levels: readonly LevelResult[];
}

export interface SweepResult {
  /** Requests per second that (a) answers when it never waits. */
  readonly capacity: number;
  readonly contestants: readonly ContestantResult[];
}

interface Tally {
  readonly windows: Window[];
  cpuMs: number;
  runs: number;
  sequences: number;
}

/** Measures every contestant at every load, one contestant at a time, in an order drawn anew each round. */
export class Sweep {
  readonly #options: SweepOptions;
  readonly #tallies = new Map<string, Tally>();
  readonly #peaks = new Map<string, number>();
  readonly #failures = new Map<string, string>();
  /** How many share the time. */
  #present = 1;

  constructor(options: SweepOptions) {
    this.#options = options;
  }

  async run(one: ServeContestant): Promise<SweepResult> {
    const { contestants, levels, rounds, model, log, seed } = this.#options;
    const capacity = await this.#capacityOf(one);
    log(`(${one.key}) answers ${capacity.toFixed(2)} requests per second when it never waits: that is 100 %`);
    for (const contestant of contestants) {
      const reason = contestant.absent?.(model);
      if (reason === undefined) continue;
      this.#failures.set(contestant.key, reason);
      log(`(${contestant.key}) is left out: ${reason}`);
    }
    const present = contestants.filter(({ key }) => !this.#failures.has(key));
    this.#present = present.length;
    const next = random(seed);
    const startedAt = performance.now();
    for (let round = 0; round < rounds; round++) {
      for (const [place, contestant] of shuffled(present, next).entries()) {
        await this.#measureGuarded(contestant, round, capacity);
        const done = round * present.length + place + 1;
        const leftMs = ((performance.now() - startedAt) / done) * (rounds * present.length - done);
        log(`  ${done} of ${rounds * present.length} done, about ${(leftMs / 60_000).toFixed(1)} minutes left`);
      }
    }
    return { capacity, contestants: contestants.map((contestant) => this.#result(contestant, levels, capacity)) };
  }

  /** Told by tokens, at the mean length of an answer: of a few bursts the requests are longer or shorter by chance. */
  async #capacityOf(contestant: ServeContestant): Promise<number> {
    const running = await this.#start(contestant);
    try {
      const startedAt = performance.now();
      let tokens = 0;
      for (let bursts = 0; performance.now() - startedAt < this.#options.capacityMs; bursts++) {
        tokens += await this.#burst(running, this.#options.seed + bursts);
      }
      return (1000 * tokens) / MEAN_ANSWER_TOKENS / (performance.now() - startedAt);
    } finally {
      await running.close();
    }
  }

  /** One that fails is left out from there on; the others go on. */
  async #measureGuarded(contestant: ServeContestant, round: number, capacity: number): Promise<void> {
    if (this.#failures.has(contestant.key)) return;
    try {
      await this.#measure(contestant, round, capacity);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#failures.set(contestant.key, reason);
      this.#options.log(`  (${contestant.key}) failed: ${reason}`);
    }
  }

  async #measure(contestant: ServeContestant, round: number, capacity: number): Promise<void> {
    const { levels, minutes, rounds, seed, model, patienceMs, generator, log, slo } = this.#options;
    const blockMs = (minutes * 60_000) / (rounds * this.#present);
    const durations = windowsOf(levels, blockMs);
    let running = await this.#start(contestant);
    try {
      for (const [i, { percent, pattern }] of levels.entries()) {
        const durationMs = durations[i] ?? 0;
        const perSecond = (capacity * percent) / 100;
        const list = arrivals({ pattern, perSecond, durationMs, seed: seed + 100 * round + i, vocab: model.vocab });
        const before = await this.#spent(running);
        const { url, fields } = running;
        const { records, endMs } = await generator.call('load', {
          url,
          fields: { ...fields },
          arrivals: list,
          patienceMs,
          quietMs: patienceMs,
        });
        const after = await this.#spent(running);
        const tally = this.#tally(contestant, i);
        const window = { records, durationMs, endMs: Math.max(durationMs, endMs) };
        tally.windows.push(window);
        tally.cpuMs += after.cpuMs - before.cpuMs;
        tally.runs += after.runs - before.runs;
        tally.sequences += after.sequences - before.sequences;
        this.#peaks.set(contestant.key, Math.max(this.#peaks.get(contestant.key) ?? 0, after.peakBytes));
        log(`  ${line(contestant, percent, pattern, measure([window], slo))}`);
        const left = records.some(({ endMs: end }) => end === undefined);
        if (!left || i + 1 === levels.length) continue;
        // Callers have gone, their prompts have not: the next load must not find them.
        await running.close();
        running = await this.#start(contestant);
      }
    } finally {
      await running.close();
    }
  }

  async #start(contestant: ServeContestant): Promise<RunningContestant> {
    const running = await contestant.start(this.#options);
    try {
      await this.#burst(running, WARM_UP_SEED);
      await sleep(200);
    } catch (error) {
      await running.close();
      throw error;
    }
    return running;
  }

  /** Asks for several answers at once, and waits for all. Resolves to their tokens. */
  async #burst({ url, fields }: RunningContestant, seed: number): Promise<number> {
    const { records } = await this.#options.generator.call('load', {
      url,
      fields: { ...fields },
      arrivals: burst(WARM_UP, seed, this.#options.model.vocab),
      patienceMs: WARM_UP_MS,
      quietMs: WARM_UP_MS,
    });
    const failed = records.find(({ endMs }) => endMs === undefined);
    if (failed !== undefined) throw new Error(`warming up: ${failed.error ?? 'no answer'}`);
    return records.reduce((sum, { tokens }) => sum + tokens, 0);
  }

  async #spent(running: RunningContestant): Promise<ModelRuns & { cpuMs: number; peakBytes: number }> {
    const runs = (await running.runs?.()) ?? { runs: 0, sequences: 0 };
    return { ...runs, ...spendingOf(running.pids) };
  }

  #tally({ key }: ServeContestant, level: number): Tally {
    const name = `${key} ${level}`;
    const known = this.#tallies.get(name);
    if (known !== undefined) return known;
    const fresh: Tally = { windows: [], cpuMs: 0, runs: 0, sequences: 0 };
    this.#tallies.set(name, fresh);
    return fresh;
  }

  #result(contestant: ServeContestant, levels: readonly LoadLevel[], capacity: number): ContestantResult {
    const { key, name, precision, family } = contestant;
    const absent = this.#failures.get(key);
    const peak = this.#peaks.get(key);
    return {
      key,
      name,
      precision,
      family,
      ...(absent !== undefined && { absent }),
      ...(peak !== undefined && { peakMb: Math.round(peak / 2 ** 20) }),
      levels: levels.flatMap(({ percent, pattern }, i) => {
        const tally = this.#tallies.get(`${key} ${i}`);
        if (tally === undefined) return [];
        const { windows, cpuMs, runs, sequences } = tally;
        const complete = windows.flatMap(({ records }) => records.filter(({ endMs }) => endMs !== undefined));
        const tokens = complete.reduce((sum, record) => sum + record.tokens, 0);
        return [
          {
            percent,
            pattern,
            requestsPerSecond: (capacity * percent) / 100,
            measures: measure(windows, this.#options.slo),
            ...(runs > 0 && { meanBatch: sequences / runs }),
            cpuSecondsPer1000Tokens: cpuMs / tokens,
          },
        ];
      }),
    };
  }
}

function line({ key }: ServeContestant, percent: number, pattern: ArrivalPattern, measured: Measures): string {
  const { requests, unanswered, failed, failure, meanMs, p95Ms, firstP50Ms, goodput } = measured;
  const missing =
    unanswered + failed === 0 ? '' : `, ${unanswered} unanswered, ${failed} failed ${failure ?? ''}`.trimEnd();
  const times = `mean ${meanMs.toFixed(0)} ms, p95 ${p95Ms.toFixed(0)}, first token ${firstP50Ms.toFixed(0)}`;
  const load = `${percent} %${pattern === 'bursty' ? ' bursty' : ''}`;
  return `${key.padEnd(18)} ${load.padStart(11)}: ${requests} requests, ${times}, goodput ${goodput.toFixed(2)}/s${missing}`;
}
