import { monitorEventLoopDelay } from 'node:perf_hooks';
import { EngineThread } from '@shoal/engine';
import { benchModel } from '../bench-model.ts';
import { together } from '../contestants/engine-load.ts';
import type { Finding } from '../finding.ts';
import type { BenchOptions, Scenario } from '../scenario.ts';
import { mixedWork } from '../workload.ts';

/** Whether the thread that does queue and HTTP work stays free while the engine's thread computes. */
export const mainThread: Scenario = { name: 'main-thread', title: 'event loop delay beside the engine thread', run };

async function* run({ quick, threads }: BenchOptions): AsyncGenerator<Finding> {
  const model = benchModel(quick ? 'tiny' : '135m', 'fp32');
  const engine = await EngineThread.start({
    modelDirectory: model.directory,
    intraOpThreads: threads,
    maxBatchSize: 32,
    maxModelLen: 512,
  });
  try {
    const works = mixedWork({ count: 64, vocab: model.shape.vocab, seed: 31 });
    await together(engine, works.slice(0, 4));
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    await together(engine, works);
    delay.disable();
    // The histogram's own timer is due every millisecond: that much is not delay.
    const p99 = Math.max(0, delay.percentile(99) / 1e6 - 1);
    yield { name: 'event loop delay of the main thread, p99', unit: 'ms', value: p99, target: { atMost: 10 } };
  } finally {
    await engine.close();
  }
}
