import { once } from 'node:events';
import { Engine, type GenerationEngine } from '@shoal/engine';
import { benchModel } from '../bench-model.ts';
import { answer, request } from '../contestants/engine-load.ts';
import { type Finding, ratioFinding } from '../finding.ts';
import type { BenchOptions, Scenario } from '../scenario.ts';
import { median, pairedRatio } from '../statistics.ts';

const BATCH = 16;
const PROMPT = 1000;

/** A long prompt that joins a running batch must not hold the others up. */
export const longPrompt: Scenario = {
  name: 'long-prompt',
  title: `a prompt of ${PROMPT} tokens joins a batch of ${BATCH}`,
  run,
};

async function* run({ quick, rounds, threads }: BenchOptions): AsyncGenerator<Finding> {
  const model = benchModel(quick ? 'tiny' : '135m', 'fp32');
  const engine = await Engine.load({
    modelDirectory: model.directory,
    intraOpThreads: threads,
    maxBatchSize: BATCH + 1,
    maxModelLen: 2048,
  });
  let prompts = 0;
  /** A long one begins unlike those before it: a kept prefix would be copied instead of computed. */
  const tokens = (count: number): number[] => {
    if (count === PROMPT) prompts += 1;
    return Array.from({ length: count }, (_, i) => 300 + ((i + prompts) % 200));
  };
  try {
    const [stalls, alone, again, joining]: [number[], number[], number[], number[]] = [[], [], [], []];
    for (let round = 0; round <= rounds; round++) {
      const unchunked = await firstTokenMs(engine, tokens(PROMPT));
      const joined = await join(engine, tokens);
      const unchunkedAgain = await firstTokenMs(engine, tokens(PROMPT));
      if (round === 0) continue;
      stalls.push(joined.longestStallMs / joined.medianStepMs);
      alone.push(unchunked);
      again.push(unchunkedAgain);
      joining.push(joined.firstTokenMs);
    }
    yield { name: 'longest stall ÷ median decode step', unit: 'ratio', value: median(stalls), target: { atMost: 4 } };
    // Alone, the prompt is prefilled in as few passes as it takes: nothing that runs has to be kept going.
    yield ratioFinding('A/A, TTFT alone', pairedRatio(again, alone));
    yield ratioFinding('TTFT in the batch ÷ alone', pairedRatio(joining, alone), { atMost: 1.3 });
  } finally {
    await engine.close();
  }
}

async function firstTokenMs(engine: GenerationEngine, prompt: readonly number[]): Promise<number> {
  const start = performance.now();
  let first = Number.NaN;
  await answer(engine, request({ prompt, maxTokens: 1 }), undefined, (at) => {
    first = at - start;
  });
  return first;
}

interface Joined {
  readonly longestStallMs: number;
  readonly medianStepMs: number;
  readonly firstTokenMs: number;
}

/** Lets a batch run, adds the long prompt, and notes when each running sequence got its tokens. */
async function join(engine: GenerationEngine, tokens: (count: number) => number[]): Promise<Joined> {
  const times: number[][] = Array.from({ length: BATCH }, () => []);
  const aborts = times.map(() => new AbortController());
  const progress = new EventTarget();
  /** Resolves when every running sequence has got `count` tokens after `since`. */
  const everyRow = async (count: number, since: number): Promise<void> => {
    const reached = (row: readonly number[]): boolean => row.filter((at) => at > since).length >= count;
    while (!times.every(reached)) await once(progress, 'tokens');
  };
  const running = times.map((row, i) =>
    answer(engine, request({ prompt: tokens(16), maxTokens: 1500 }), aborts[i]?.signal, (at) => {
      row.push(at);
      progress.dispatchEvent(new Event('tokens'));
    }),
  );
  await everyRow(8, 0);
  const asked = performance.now();
  const ttft = await firstTokenMs(engine, tokens(PROMPT));
  const end = performance.now();
  await everyRow(2, end);
  for (const abort of aborts) abort.abort();
  await Promise.all(running);
  const gaps = times.flatMap((row) => row.slice(1).map((at, i) => ({ from: row[i] ?? at, to: at })));
  const length = ({ from, to }: { from: number; to: number }): number => to - from;
  return {
    // Gaps that the prompt's prefill lies in, wholly or in part.
    longestStallMs: Math.max(...gaps.filter(({ from, to }) => to > asked && from < end).map(length)),
    medianStepMs: median(gaps.filter(({ to }) => to < asked).map(length)),
    firstTokenMs: ttft,
  };
}
