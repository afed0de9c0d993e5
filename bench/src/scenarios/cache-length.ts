import { Engine } from '@shoal/engine';
import { benchModel } from '../bench-model.ts';
import { decodeRate } from '../contestants/engine-load.ts';
import { type Finding, ratioFinding } from '../finding.ts';
import { interleave } from '../interleave.ts';
import type { BenchOptions, Scenario } from '../scenario.ts';
import { median, pairedRatio } from '../statistics.ts';

const BATCH = 16;
const SHORT = 128;
const LONG = 2048;

/** Whether a step gets slower with the cache that is allocated, used or not. */
export const cacheLength: Scenario = { name: 'cache-length', title: `cache length ${LONG} against ${SHORT}`, run };

async function* run({ quick, rounds, threads }: BenchOptions): AsyncGenerator<Finding> {
  const model = benchModel(quick ? 'tiny' : '135m', 'fp32');
  const load = (maxModelLen: number): Promise<Engine> =>
    Engine.load({ modelDirectory: model.directory, intraOpThreads: threads, maxBatchSize: BATCH, maxModelLen });
  const [short, long] = [await load(SHORT), await load(LONG)];
  const steps = quick ? 4 : 10;
  try {
    const samples = await interleave(
      [
        { name: 'short', measure: () => decodeRate(short, BATCH, steps) },
        { name: 'again', measure: () => decodeRate(short, BATCH, steps) },
        { name: 'long', measure: () => decodeRate(long, BATCH, steps) },
      ],
      rounds,
    );
    const of = (name: string): readonly number[] => samples.get(name) ?? [];
    yield { name: `cache length ${SHORT}, batch ${BATCH}`, unit: 'tokens/s', value: median(of('short')) };
    yield { name: `cache length ${LONG}, batch ${BATCH}`, unit: 'tokens/s', value: median(of('long')) };
    yield ratioFinding(`A/A, cache length ${SHORT}, batch ${BATCH}`, pairedRatio(of('again'), of('short')));
    const name = `cache length ${LONG} ÷ ${SHORT}, batch ${BATCH}`;
    yield ratioFinding(name, pairedRatio(of('long'), of('short')), { atLeast: 0.95 });
  } finally {
    await Promise.all([short.close(), long.close()]);
  }
}
