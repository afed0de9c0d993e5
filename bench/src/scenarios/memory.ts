import { Engine } from '@shoal/engine';
import { benchModel } from '../bench-model.ts';
import { answer, request } from '../contestants/engine-load.ts';
import type { Finding } from '../finding.ts';
import type { BenchOptions, Scenario } from '../scenario.ts';
import { mixedWork } from '../workload.ts';

const KV_MB = 64;
const IN_FLIGHT = 64;

/** Resident memory over the KV budget after many requests, and whether it still grows. */
export const memory: Scenario = { name: 'memory', title: 'resident memory', run };

async function* run({ quick, threads }: BenchOptions): AsyncGenerator<Finding> {
  const count = quick ? 400 : 2000;
  const model = benchModel('tiny', 'fp32');
  const engine = await Engine.load({
    modelDirectory: model.directory,
    intraOpThreads: threads,
    maxBatchSize: 32,
    maxModelLen: 512,
    kvCacheMb: KV_MB,
  });
  try {
    const works = mixedWork({ count, vocab: model.shape.vocab, seed: 21 });
    let next = 0;
    let half = 0;
    const serve = async (): Promise<void> => {
      for (let index = next++; index < works.length; index = next++) {
        if (index === works.length / 2) half = residentMb();
        const work = works[index];
        if (work !== undefined) await answer(engine, request(work));
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, serve));
    const end = residentMb();
    const over = end - KV_MB;
    yield { name: `resident over the KV budget, ${count} requests`, unit: 'MB', value: over, target: { atMost: 250 } };
    yield { name: 'growth in the second half', unit: 'MB', value: end - half, target: { atMost: 10 } };
  } finally {
    await engine.close();
  }
}

function residentMb(): number {
  return process.memoryUsage.rss() / 2 ** 20;
}
