import { Engine } from '@shoal/engine';
import type { SamplingParams } from '@shoal/protocol';
import { benchModel } from '../bench-model.ts';
import { decodeSteps, GREEDY, SAMPLED } from '../contestants/engine-load.ts';
import type { Finding } from '../finding.ts';
import { interleave } from '../interleave.ts';
import type { BenchOptions, Scenario } from '../scenario.ts';
import { median } from '../statistics.ts';

const BATCH = 32;

/** What a step spends outside the model's run: sampling, events, scheduling and a turn of the event loop. */
export const stepShare: Scenario = {
  name: 'step-share',
  title: `share of a step outside the model, batch ${BATCH}`,
  run,
};

async function* run({ quick, rounds, threads }: BenchOptions): AsyncGenerator<Finding> {
  const model = benchModel(quick ? 'tiny' : '135m', 'fp32');
  const options = { modelDirectory: model.directory, intraOpThreads: threads, maxBatchSize: BATCH, maxModelLen: 256 };
  const engine = await Engine.load(options);
  const share = async (params: SamplingParams): Promise<number> => {
    const seen = await decodeSteps(engine, BATCH, quick ? 4 : 8, params);
    const [first, ...rest] = seen;
    const total = (rest.at(-1)?.at ?? Number.NaN) - (first?.at ?? Number.NaN);
    return (100 * (total - rest.reduce((sum, { runMs }) => sum + runMs, 0))) / total;
  };
  try {
    const samples = await interleave(
      [
        { name: 'greedy', measure: () => share(GREEDY) },
        { name: 'greedy again', measure: () => share(GREEDY) },
        { name: 'at temperature 1', measure: () => share({ ...SAMPLED, topP: 1 }) },
        { name: 'with top-p 0.95', measure: () => share(SAMPLED) },
      ],
      rounds,
    );
    for (const [name, values] of samples) {
      const value = median(values);
      yield { name: `outside the model's run, ${name}, batch ${BATCH}`, unit: '%', value, target: { atMost: 3 } };
    }
  } finally {
    await engine.close();
  }
}
