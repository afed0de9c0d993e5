import type { EngineFact, EngineStats } from '@shoal/engine';
import type { ActivityFrame, Ride, StepRun } from '@shoal/protocol';
import type { ActivitySource, ClaimedJob } from '@shoal/queue';

/** Bounds of one frame; what is older is dropped. */
const MOST_RUNS = 256;
const MOST_PAST_RIDES = 512;
const MOST_FIRST_TOKENS = 512;
/** With nothing new, a frame still says this often that the worker is there. */
const SILENCE_MS = 1_000;

export interface ActivityRecorderOptions {
  worker: string;
  stats: () => Pick<EngineStats, 'slots' | 'waiting'>;
  /** Unix time in milliseconds. */
  now: () => number;
}

/**
 * Turns the engine's facts into {@link ActivityFrame}s. Who rides is known at all times, so that whoever begins to watch
 * sees the present; everything else is collected only while somebody does.
 */
export class ActivityRecorder implements ActivitySource {
  readonly #options: ActivityRecorderOptions;
  /** Jobs that the worker holds, by id. */
  readonly #jobs = new Map<string, Pick<ClaimedJob, 'queuedAt' | 'request'>>();
  /** By lane. */
  readonly #riding: (Ride | undefined)[] = [];
  #past: Ride[] = [];
  #runs: StepRun[] = [];
  #firstTokensMs: number[] = [];
  #generatedTokens = 0;
  #step = 0;
  #watched = false;
  #lastAt = 0;
  #changed = false;

  constructor(options: ActivityRecorderOptions) {
    this.#options = options;
  }

  /** A job was claimed: whose it is, and since when it waited. */
  claimed({ id, queuedAt, request }: Pick<ClaimedJob, 'id' | 'queuedAt' | 'request'>): void {
    this.#jobs.set(id, { queuedAt, request });
  }

  /** The worker is done with a job. */
  ended(jobId: string): void {
    this.#jobs.delete(jobId);
  }

  record(fact: EngineFact): void {
    if (fact.type === 'step') this.#stepped(fact.phase, fact.batchSize);
    else if (fact.type === 'sample') this.#generatedTokens += this.#watched ? fact.tokens : 0;
    else if (fact.type === 'joined') this.#joined(fact.requestId, fact.choice);
    else if (fact.type === 'left') this.#left(fact.requestId, fact.choice);
    else if (fact.type === 'first-token') this.#firstToken(fact.requestId);
  }

  begin(): void {
    this.#watched = true;
    this.#changed = true;
    this.#lastAt = this.#options.now();
  }

  end(): void {
    this.#watched = false;
    this.#forget();
  }

  take(): ActivityFrame | undefined {
    const at = this.#options.now();
    const forMs = Math.max(0, at - this.#lastAt);
    if (!this.#changed && forMs < SILENCE_MS) return undefined;
    const { slots, waiting } = this.#options.stats();
    const riding = this.#riding.filter((ride) => ride !== undefined);
    const frame: ActivityFrame = {
      ...{ v: 1, worker: this.#options.worker, at, forMs, slots, waiting, step: this.#step },
      runs: this.#runs,
      rides: [...this.#past, ...riding.map((ride) => ({ ...ride }))],
      generatedTokens: this.#generatedTokens,
      firstTokensMs: this.#firstTokensMs,
    };
    this.#lastAt = at;
    this.#forget();
    return frame;
  }

  #forget(): void {
    this.#past = [];
    this.#runs = [];
    this.#firstTokensMs = [];
    this.#generatedTokens = 0;
    this.#changed = false;
  }

  #stepped(phase: 'prefill' | 'decode', rows: number): void {
    this.#step += 1;
    if (!this.#watched) return;
    this.#changed = true;
    const last = this.#runs.at(-1);
    if (last?.phase === phase && last.rows === rows && last.from + last.count === this.#step) last.count += 1;
    else keep(this.#runs, { phase, from: this.#step, count: 1, rows }, MOST_RUNS);
  }

  #joined(jobId: string, choice: number): void {
    const free = this.#riding.indexOf(undefined);
    const lane = free === -1 ? this.#riding.length : free;
    const tenant = this.#jobs.get(jobId)?.request.tenant;
    this.#riding[lane] = {
      ...{ lane, jobId, joined: this.#step + 1 },
      ...(tenant === undefined ? {} : { tenant }),
      ...(choice === 0 ? {} : { choice }),
    };
    this.#changed = true;
  }

  #left(jobId: string, choice: number): void {
    const lane = this.#riding.findIndex((ride) => ride?.jobId === jobId && (ride.choice ?? 0) === choice);
    const ride = this.#riding[lane];
    if (ride === undefined) return;
    this.#riding[lane] = undefined;
    if (!this.#watched) return;
    keep(this.#past, { ...ride, left: Math.max(ride.joined, this.#step) }, MOST_PAST_RIDES);
    this.#changed = true;
  }

  #firstToken(jobId: string): void {
    const queuedAt = this.#jobs.get(jobId)?.queuedAt;
    if (!this.#watched || queuedAt === undefined) return;
    keep(this.#firstTokensMs, Math.max(0, this.#options.now() - queuedAt), MOST_FIRST_TOKENS);
  }
}

function keep<T>(list: T[], item: T, most: number): void {
  list.push(item);
  if (list.length > most) list.shift();
}
