import { Engine } from '@shoal/engine';
import { type BenchModel, benchModel } from '../bench-model.ts';
import { answer, request, together, type Work } from '../contestants/engine-load.ts';
import { LlamaCpp } from '../contestants/llama.ts';
import { Transformers } from '../contestants/transformers.ts';
import { type Finding, ratioFinding, type Target } from '../finding.ts';
import { type Contestant, interleave } from '../interleave.ts';
import type { BenchOptions, Scenario } from '../scenario.ts';
import { median, pairedRatio } from '../statistics.ts';
import { mixedWork } from '../workload.ts';

const BATCH = 16;
const LENGTH = 512;
const ENGINE = 'engine';
const AGAIN = 'engine again';
const TRANSFORMERS = '@huggingface/transformers';
const LLAMA_F32 = 'llama.cpp, f32';
const LLAMA_Q8 = 'llama.cpp, q8_0';

const TARGETS: Readonly<Record<string, Target>> = {
  [TRANSFORMERS]: { atLeast: 3 },
  [LLAMA_F32]: { atLeast: 3 },
  [LLAMA_Q8]: { atLeast: 2 },
};

/** Other libraries' best correct form, on the same requests. */
export const peers: Scenario = { name: 'peers', title: '64 requests of mixed lengths, engine and peers', run };

async function* run({ quick, rounds, threads }: BenchOptions): AsyncGenerator<Finding> {
  const model = benchModel(quick ? 'tiny' : '135m', 'fp32');
  const works = mixedWork({ count: quick ? 16 : 64, vocab: model.shape.vocab, seed: 1 });
  const engine = await Engine.load({
    modelDirectory: model.directory,
    intraOpThreads: threads,
    maxBatchSize: BATCH,
    maxModelLen: LENGTH,
  });
  const transformers = await Transformers.load(model, threads);
  const contestants: Contestant[] = [
    { name: ENGINE, measure: () => together(engine, works), close: () => engine.close() },
    { name: AGAIN, measure: () => together(engine, works) },
    { name: TRANSFORMERS, measure: () => transformers.tokensPerSecond(works), close: () => transformers.close() },
    ...(await llamas(model, works, threads)),
  ];
  try {
    yield await agreement(engine, transformers, works.slice(0, 4));
    const samples = await interleave(contestants, rounds);
    for (const [name, values] of samples) yield { name: `peers, ${name}`, unit: 'tokens/s', value: median(values) };
    for (const [name, values] of samples) {
      if (name === ENGINE) continue;
      const label = name === AGAIN ? 'A/A, engine' : `engine ÷ ${name}`;
      yield ratioFinding(label, pairedRatio(samples.get(ENGINE) ?? [], values), TARGETS[name]);
    }
  } finally {
    for (const contestant of contestants) await contestant.close?.();
  }
}

/** Nobody is faster by computing something else: greedy answers are compared first, on the same files. */
async function agreement(engine: Engine, transformers: Transformers, works: readonly Work[]): Promise<Finding> {
  let agreeing = 0;
  for (const work of works) {
    const ours = (await answer(engine, request(work))).tokenIds.join();
    if (ours === (await transformers.answer(work)).join()) agreeing += 1;
  }
  return { name: `answers on which ${TRANSFORMERS} agrees, of ${works.length}`, unit: 'answers', value: agreeing };
}

async function llamas(model: BenchModel, works: readonly Work[], threads: number): Promise<Contestant[]> {
  if (LlamaCpp.version() === undefined) {
    console.log('  llama.cpp is left out: cd bench/peers && npm install --ignore-scripts');
    return [];
  }
  const contestants: Contestant[] = [];
  for (const [name, dtype] of [
    [LLAMA_F32, 'f32'],
    [LLAMA_Q8, 'q8_0'],
  ] as const) {
    const llama = await LlamaCpp.load(model, dtype, { threads, sequences: BATCH, length: LENGTH });
    contestants.push({ name, measure: () => llama.tokensPerSecond(works), close: () => llama.close() });
  }
  return contestants;
}
