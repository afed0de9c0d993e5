import { type BatchingPolicy, Engine, loadModel } from '@shoal/engine';
import { benchModel } from '../bench-model.ts';
import { answer, request, type Work } from '../contestants/engine-load.ts';
import { simulatedRunner, VirtualClock } from '../contestants/simulated-device.ts';
import type { Finding } from '../finding.ts';
import type { BenchOptions, Scenario } from '../scenario.ts';
import { median } from '../statistics.ts';
import { mixedWork } from '../workload.ts';

const PASS_MS = 20;
const TOKEN_MS = 0.2;

const BATCH = 8;
const LOADS = 9;

/**
 * Mixed loads on a device whose pass takes 20 ms and 0.2 ms per token. Time is simulated, so that the figures are a
 * property of the scheduling alone: the same on every machine and in every run.
 */
export const simulatedDevice: Scenario = {
  name: 'simulated-device',
  title: `64 requests of mixed lengths on a simulated device, ${PASS_MS} + ${TOKEN_MS} · n ms a pass, batch ${BATCH}`,
  run,
};

async function* run({ threads, quick }: BenchOptions): AsyncGenerator<Finding> {
  const [ratios, bounds]: [number[], number[]] = [[], []];
  for (let seed = 1; seed <= (quick ? 3 : LOADS); seed++) {
    const works = mixedWork({ count: 64, vocab: benchModel('tiny', 'fp32').shape.vocab, seed });
    const fixed = await simulatedMs(works, 'static', threads);
    ratios.push(fixed / (await simulatedMs(works, 'continuous', threads)));
    bounds.push(fixed / greedyScheduleMs(works));
  }
  const name = `simulated device: continuous ÷ static, median of ${ratios.length} loads`;
  yield { name, unit: 'ratio', value: median(ratios), target: { atLeast: 2 } };
  yield { name: 'the same for a schedule without stall bounds', unit: 'ratio', value: median(bounds) };
}

async function simulatedMs(works: readonly Work[], batching: BatchingPolicy, threads: number): Promise<number> {
  const clock = new VirtualClock();
  const parts = await loadModel({
    modelDirectory: benchModel('tiny', 'fp32').directory,
    intraOpThreads: threads,
    batching,
    maxBatchSize: BATCH,
    maxModelLen: 512,
  });
  const engine = new Engine(
    { ...parts, runner: simulatedRunner(parts.runner, clock, { passMs: PASS_MS, tokenMs: TOKEN_MS }) },
    { clock },
  );
  const start = clock.now();
  await Promise.all(works.map((work) => answer(engine, request(work))));
  const took = clock.now() - start;
  await engine.close();
  return took;
}

/** First come, first served, every free slot filled at once by one unchunked prefill: what scheduling alone can give. */
function greedyScheduleMs(works: readonly Work[]): number {
  const waiting = [...works];
  let running: number[] = [];
  let ms = 0;
  while (waiting.length > 0 || running.length > 0) {
    const joining = waiting.splice(0, BATCH - running.length);
    if (joining.length > 0) {
      ms += PASS_MS + TOKEN_MS * joining.length * Math.max(...joining.map(({ prompt }) => prompt.length));
      running.push(...joining.map(({ maxTokens }) => maxTokens - 1));
    }
    running = running.filter((left) => left > 0);
    if (running.length > 0) ms += PASS_MS + TOKEN_MS * running.length;
    running = running.map((left) => left - 1);
  }
  return ms;
}
