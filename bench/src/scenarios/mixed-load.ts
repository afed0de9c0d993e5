import { Engine, type EngineOptions } from '@shoal/engine';
import { benchModel } from '../bench-model.ts';
import { oneByOne, together } from '../contestants/engine-load.ts';
import { type Finding, ratioFinding } from '../finding.ts';
import { interleave } from '../interleave.ts';
import type { BenchOptions, Scenario } from '../scenario.ts';
import { median, pairedRatio } from '../statistics.ts';
import { mixedWork } from '../workload.ts';

const BATCH = 16;
const LENGTH = 512;

/** Many requests of mixed lengths: what continuous batching is for. */
export const mixedLoad: Scenario = {
  name: 'mixed-load',
  title: '64 requests of mixed lengths, all at once',
  run,
};

async function* run({ quick, rounds, threads }: BenchOptions): AsyncGenerator<Finding> {
  const model = benchModel(quick ? 'tiny' : '135m', 'fp32');
  const works = mixedWork({ count: quick ? 16 : 64, vocab: model.shape.vocab, seed: 1 });
  // One after the other, the rate does not depend on how many there are: every fourth is enough.
  const some = works.filter((_, i) => i % 4 === 0);
  const options: EngineOptions = {
    modelDirectory: model.directory,
    intraOpThreads: threads,
    maxBatchSize: BATCH,
    maxModelLen: LENGTH,
  };
  const continuous = await Engine.load(options);
  const fixed = await Engine.load({ ...options, batching: 'static' });
  const [A, AGAIN, STATIC, ALONE] = ['continuous', 'continuous again', 'static', 'one at a time'] as const;
  try {
    const samples = await interleave(
      [
        { name: A, measure: () => together(continuous, works) },
        { name: AGAIN, measure: () => together(continuous, works) },
        { name: STATIC, measure: () => together(fixed, works) },
        { name: ALONE, measure: () => oneByOne(continuous, some) },
      ],
      rounds,
    );
    const of = (name: string): readonly number[] => samples.get(name) ?? [];
    for (const [name, values] of samples) {
      yield { name: `mixed load, ${name}`, unit: 'tokens/s', value: median(values) };
    }
    yield ratioFinding('mixed load, A/A: continuous', pairedRatio(of(AGAIN), of(A)));
    yield ratioFinding('mixed load: continuous ÷ static', pairedRatio(of(A), of(STATIC)), { atLeast: 1.3 });
    yield ratioFinding('mixed load: continuous ÷ one at a time', pairedRatio(of(A), of(ALONE)), { atLeast: 3 });
  } finally {
    await Promise.all([continuous.close(), fixed.close()]);
  }
}
