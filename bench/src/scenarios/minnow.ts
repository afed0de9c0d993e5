import { fileURLToPath } from 'node:url';
import { Engine, type EngineOptions } from '@shoal/engine';
import { oneByOne, together } from '../contestants/engine-load.ts';
import { type Finding, ratioFinding } from '../finding.ts';
import { interleave } from '../interleave.ts';
import type { BenchOptions, Scenario } from '../scenario.ts';
import { median, pairedRatio } from '../statistics.ts';
import { mixedWork } from '../workload.ts';

const DIRECTORY = fileURLToPath(new URL('../../../models/minnow', import.meta.url));
const BATCH = 32;

/** The model that comes with the project: steps of a millisecond or so, where everything but the model shows. */
export const minnow: Scenario = { name: 'minnow', title: '64 requests of mixed lengths on minnow', run };

async function* run({ quick, rounds, threads }: BenchOptions): AsyncGenerator<Finding> {
  const options: EngineOptions = { modelDirectory: DIRECTORY, intraOpThreads: threads, maxBatchSize: BATCH };
  const continuous = await Engine.load(options);
  const fixed = await Engine.load({ ...options, batching: 'static' });
  const works = mixedWork({ count: quick ? 16 : 64, vocab: continuous.model.vocabSize, seed: 41 });
  const some = works.filter((_, i) => i % 4 === 0);
  try {
    const samples = await interleave(
      [
        { name: 'continuous', measure: () => together(continuous, works) },
        { name: 'continuous again', measure: () => together(continuous, works) },
        { name: 'static', measure: () => together(fixed, works) },
        { name: 'one at a time', measure: () => oneByOne(continuous, some) },
      ],
      rounds,
    );
    const of = (name: string): readonly number[] => samples.get(name) ?? [];
    for (const [name, values] of samples) yield { name: `minnow, ${name}`, unit: 'tokens/s', value: median(values) };
    yield ratioFinding('minnow, A/A: continuous', pairedRatio(of('continuous again'), of('continuous')));
    yield ratioFinding('minnow: continuous ÷ static', pairedRatio(of('continuous'), of('static')));
    yield ratioFinding('minnow: continuous ÷ one at a time', pairedRatio(of('continuous'), of('one at a time')));
  } finally {
    await Promise.all([continuous.close(), fixed.close()]);
  }
}
