import { Engine } from '@shoal/engine';
import { type BenchDtype, benchModel } from '../bench-model.ts';
import { CapiLoop } from '../contestants/capi-loop.ts';
import { decodeRate, SAMPLED } from '../contestants/engine-load.ts';
import { NodeLoop } from '../contestants/node-loop.ts';
import { loadWatched } from '../contestants/watched-engine.ts';
import { type Finding, ratioFinding } from '../finding.ts';
import { type Contestant, interleave, type Samples } from '../interleave.ts';
import type { BenchOptions, Scenario } from '../scenario.ts';
import { median, pairedRatio } from '../statistics.ts';

const LENGTH = 256;
const BATCHES = [1, 8, 32, 64];
/** Steps of one sample, by batch size: half a second or so each on two cores. */
const STEPS: Readonly<Record<number, number>> = { 1: 24, 8: 16, 32: 8, 64: 6 };

const CAPI = 'bare C-API loop';
const PADDED = 'bare C-API loop, its lone row padded too';
const AGAIN = 'bare C-API loop again';
const SPINNING = 'bare C-API loop, threads spinning';
const NODE = 'bare onnxruntime-node loop';
const ENGINE = 'engine, greedy';
const ONE_SLOT = 'engine of one slot, greedy';
const ENGINE_SAMPLED = 'engine, sampled';

/** Decode tokens per second against the bare runtime. */
export function decodeScenario(dtype: BenchDtype): Scenario {
  return {
    name: `decode-${dtype}`,
    title: `decode against the bare runtime, ${dtype}`,
    run: (options) => decode(dtype, options),
  };
}

async function* decode(dtype: BenchDtype, { quick, rounds, threads }: BenchOptions): AsyncGenerator<Finding> {
  const model = benchModel(quick ? 'tiny' : '135m', dtype);
  const batches = quick ? [1, 8] : BATCHES;
  const slots = Math.max(...batches);
  const loop = { threads, slots, length: LENGTH };
  // The engine's own session options, so that the ratio is what we add; and what not spinning costs, beside it.
  const capi = await CapiLoop.load(model, loop);
  const spinning = await CapiLoop.load(model, { ...loop, spinning: true });
  const node = await NodeLoop.load(model, loop);
  const options = { modelDirectory: model.directory, dtype, intraOpThreads: threads, maxModelLen: LENGTH };
  const { engine, lengths } = await loadWatched({ ...options, maxBatchSize: slots });
  const speeds = new Map<number, Samples>();
  try {
    for (const batch of batches) {
      const steps = quick ? 4 : (STEPS[batch] ?? 8);
      // The bare loops decode rows as long as the engine's were in the sample that it took last.
      const pasts = (): number[] => (lengths.get(batch) ?? []).map((length) => length + 1 - steps);
      const contestants: Contestant[] = [
        { name: ENGINE, measure: () => decodeRate(engine, batch, steps) },
        { name: ENGINE_SAMPLED, measure: () => decodeRate(engine, batch, steps, SAMPLED) },
        { name: CAPI, measure: () => capi.decodeRate(pasts(), steps) },
        { name: AGAIN, measure: () => capi.decodeRate(pasts(), steps) },
        { name: SPINNING, measure: () => spinning.decodeRate(pasts(), steps) },
        { name: NODE, measure: () => node.decodeRate(pasts(), steps) },
      ];
      // The 4-bit kernel computes one row in another way than several, so an engine that may have several gives a lone one
      // company. That is not the work of a loop over one row, which is what an engine of one slot does: all are told.
      const lone = batch === 1 && dtype === 'q4' ? await Engine.load({ ...options, maxBatchSize: 1 }) : undefined;
      if (lone !== undefined) {
        contestants.push({ name: PADDED, measure: () => capi.paddedRate(pasts(), steps) });
        contestants.push({ name: ONE_SLOT, measure: () => decodeRate(lone, batch, steps) });
      }
      try {
        const samples = await interleave(contestants, rounds);
        speeds.set(batch, samples);
        yield* compare(dtype, batch, samples);
      } finally {
        await lone?.close();
      }
    }
  } finally {
    await Promise.all([capi.close(), spinning.close(), node.close(), engine.close()]);
  }
  const [one, many] = [batches[0] ?? 1, slots];
  const gain = pairedRatio(speeds.get(many)?.get(ENGINE) ?? [], speeds.get(one)?.get(ENGINE) ?? []);
  const target = dtype === 'fp32' ? { atLeast: 9 } : undefined;
  yield ratioFinding(`engine, ${dtype}: batch ${many} ÷ batch ${one}`, gain, target);
}

function compare(dtype: BenchDtype, batch: number, samples: Samples): Finding[] {
  const of = (name: string): readonly number[] => samples.get(name) ?? [];
  const place = `${dtype}, batch ${batch}`;
  const speeds = [...samples].map(([name, values]) => ({
    name: `${name}: ${place}`,
    unit: 'tokens/s',
    value: median(values),
  }));
  const nodeTarget = dtype === 'fp32' && batch === 32 ? { atLeast: 1.6 } : undefined;
  return [
    ...speeds,
    ratioFinding(`A/A, ${CAPI}: ${place}`, pairedRatio(of(AGAIN), of(CAPI))),
    ratioFinding(`engine ÷ ${CAPI}: ${place}`, pairedRatio(of(ENGINE), of(CAPI)), { atLeast: 0.97 }),
    ...(samples.has(PADDED)
      ? [ratioFinding(`engine ÷ ${PADDED}: ${place}`, pairedRatio(of(ENGINE), of(PADDED)), { atLeast: 0.97 })]
      : []),
    ...(samples.has(ONE_SLOT)
      ? [ratioFinding(`${ONE_SLOT} ÷ ${CAPI}: ${place}`, pairedRatio(of(ONE_SLOT), of(CAPI)), { atLeast: 0.97 })]
      : []),
    ratioFinding(`engine ÷ ${SPINNING}: ${place}`, pairedRatio(of(ENGINE), of(SPINNING))),
    ratioFinding(`engine, sampled ÷ ${CAPI}: ${place}`, pairedRatio(of(ENGINE_SAMPLED), of(CAPI))),
    ratioFinding(`engine ÷ ${NODE}: ${place}`, pairedRatio(of(ENGINE), of(NODE)), nodeTarget),
  ];
}
