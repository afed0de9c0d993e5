import type { BenchModel } from '../bench-model.ts';
import type { EngineCalls } from './engine-calls.ts';

/** The model that all of them serve. */
export interface ServedModel {
  readonly name: string;
  readonly directory: string;
  readonly vocab: number;
  /** The generated model behind it, from which other formats are made; absent for a trained one. */
  readonly bench?: BenchModel;
}

export interface StartOptions {
  readonly model: ServedModel;
  /** Threads of one operator, the same for all. */
  readonly threads: number;
}

/** Sequences that run together at most, where a contestant has a bound of its own to set. */
export const BATCH = 16;
/** Most tokens of prompt and answer together. */
export const LENGTH = 256;

/** Somebody who answers `POST /v1/completions`, as one of its users would run it. */
export interface ServeContestant {
  /** As in `--only`. */
  readonly key: string;
  readonly name: string;
  readonly precision: 'fp32' | 'q4';
  /** Whose finding it counts for. */
  readonly family: 'shoal' | 'queue' | 'node' | 'python';
  /** Measured only when it is named. */
  readonly optional?: boolean;
  /** Why it cannot run here, if it cannot. */
  absent?(model: ServedModel): string | undefined;
  start(options: StartOptions): Promise<RunningContestant>;
}

export interface RunningContestant {
  readonly url: string;
  /** Fields of each request's body beside `prompt` and `max_tokens`. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** Roots of its processes, Redis too. */
  readonly pids: readonly number[];
  /** Where its processes tell their metrics, for those that do. */
  readonly metricsUrls?: readonly string[];
  /** Its engine, asked past everything that stands before it; absent where there is no such way. */
  readonly engine?: EngineCalls;
  /** Runs of the model so far and the sequences in them, where it tells. */
  runs?(): Promise<ModelRuns>;
  close(): Promise<void>;
}

export interface ModelRuns {
  readonly runs: number;
  readonly sequences: number;
}

/** Asks a server of the bench. */
export async function runsAt(url: string): Promise<ModelRuns> {
  return (await (await fetch(`${url}/runs`)).json()) as ModelRuns;
}
