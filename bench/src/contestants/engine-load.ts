import type { EngineRequest, FinishedEvent, GenerationEngine, StepFact } from '@shoal/engine';
import type { SamplingParams } from '@shoal/protocol';

/** One answer of a workload. */
export interface Work {
  readonly prompt: readonly number[];
  readonly maxTokens: number;
}

/** Greedy; no text ends an answer early. */
export const GREEDY: SamplingParams = { temperature: 0, topP: 1, topK: 0, stop: [], ignoreEos: true };

/** As most callers ask: temperature 1, nucleus 0.95. */
export const SAMPLED: SamplingParams = { ...GREEDY, temperature: 1, topP: 0.95, seed: 1 };

let requests = 0;

export function request(work: Work, params: SamplingParams = GREEDY): EngineRequest {
  return {
    id: `bench-${requests++}`,
    promptTokenIds: [...work.prompt],
    params: { ...params, maxTokens: work.maxTokens },
  };
}

/** Reads one answer to its end; `onTokens` is told when tokens come. */
export async function answer(
  engine: GenerationEngine,
  asked: EngineRequest,
  signal?: AbortSignal,
  onTokens?: (at: number) => void,
): Promise<FinishedEvent> {
  for await (const event of engine.generate(asked, signal)) {
    if (event.type === 'finished') return event;
    onTokens?.(performance.now());
  }
  throw new Error('the engine ended an answer without a finished event');
}

/** Tokens per second of the answers when all are asked at once. */
export async function together(engine: GenerationEngine, works: readonly Work[]): Promise<number> {
  const start = performance.now();
  const answers = await Promise.all(works.map((work) => answer(engine, request(work))));
  return rate(answers, start);
}

/** Tokens per second when each is asked once the one before is complete. */
export async function oneByOne(engine: GenerationEngine, works: readonly Work[]): Promise<number> {
  const start = performance.now();
  const answers: FinishedEvent[] = [];
  for (const work of works) answers.push(await answer(engine, request(work)));
  return rate(answers, start);
}

function rate(answers: readonly FinishedEvent[], start: number): number {
  const tokens = answers.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
  return (1000 * tokens) / (performance.now() - start);
}

/** Tokens of the prompts before a sample of decode steps. */
const PROMPT = 16;

/** One decode step of a full batch, as the engine told it. */
export interface TimedStep {
  /** When the model had run (performance.now). */
  readonly at: number;
  /** How long the model ran, in milliseconds. */
  readonly runMs: number;
}

/**
 * Keeps `batch` sequences running until `steps` + 1 decode steps with all of them were seen, then aborts them. The
 * time from one step's fact to the next covers everything the engine does in between: sampling, events, scheduling.
 */
export async function decodeSteps(
  engine: GenerationEngine,
  batch: number,
  steps: number,
  params: SamplingParams = GREEDY,
): Promise<TimedStep[]> {
  const seen: TimedStep[] = [];
  const aborts = Array.from({ length: batch }, () => new AbortController());
  const stop = engine.observe((fact) => {
    if (fact.type !== 'step' || !isFullDecode(fact, batch) || seen.length > steps) return;
    seen.push({ at: performance.now(), runMs: fact.durationMs });
    if (seen.length > steps) for (const abort of aborts) abort.abort();
  });
  // Different from the first token on: prompts that begin alike would be prefilled one after the other.
  const promptOf = (row: number): number[] => Array.from({ length: PROMPT }, (_, i) => 100 + row + i);
  // Rows begin to decode before the last one is prefilled: the slack keeps all of them running until the end.
  const maxTokens = steps + 2 * batch + 8;
  await Promise.all(
    aborts.map((abort, row) => answer(engine, request({ prompt: promptOf(row), maxTokens }, params), abort.signal)),
  );
  stop();
  if (seen.length <= steps) throw new Error(`only ${seen.length} of ${steps + 1} steps had all ${batch} rows`);
  return seen;
}

function isFullDecode(fact: StepFact, batch: number): boolean {
  return fact.phase === 'decode' && fact.batchSize === batch;
}

/** Tokens per second of an engine that decodes `batch` rows. */
export async function decodeRate(
  engine: GenerationEngine,
  batch: number,
  steps: number,
  params?: SamplingParams,
): Promise<number> {
  const seen = await decodeSteps(engine, batch, steps, params);
  const first = seen[0]?.at ?? Number.NaN;
  const last = seen.at(-1)?.at ?? Number.NaN;
  return (1000 * batch * steps) / (last - first);
}
