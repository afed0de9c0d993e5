import { Engine } from '@shoal/engine';
import { benchModel } from '../bench-model.ts';
import { answer, request } from '../contestants/engine-load.ts';
import { type Finding, ratioFinding } from '../finding.ts';
import { random } from '../random.ts';
import type { BenchOptions, Scenario } from '../scenario.ts';
import { median, pairedRatio } from '../statistics.ts';

const REQUESTS = 32;
const PREFIX = 256;
const OWN = 8;

/** Requests that begin alike, such as with one system prompt. */
export const sharedPrefix: Scenario = {
  name: 'shared-prefix',
  title: `${REQUESTS} requests that share a prefix of ${PREFIX} tokens`,
  run,
};

async function* run({ quick, rounds, threads }: BenchOptions): AsyncGenerator<Finding> {
  const model = benchModel(quick ? 'tiny' : '135m', 'fp32');
  const engine = await Engine.load({
    modelDirectory: model.directory,
    intraOpThreads: threads,
    maxBatchSize: REQUESTS,
    maxModelLen: 512,
  });
  const next = random(5);
  const draw = (count: number): number[] => Array.from({ length: count }, () => Math.floor(next() * model.shape.vocab));
  /** Milliseconds until the last of the requests has its first token. */
  const prefillMs = async (prefixOf: () => number[]): Promise<number> => {
    const asked = Array.from({ length: REQUESTS }, () =>
      request({ prompt: [...prefixOf(), ...draw(OWN)], maxTokens: 1 }),
    );
    const start = performance.now();
    await Promise.all(asked.map((one) => answer(engine, one)));
    return performance.now() - start;
  };
  try {
    const [reused, fresh, again]: [number[], number[], number[]] = [[], [], []];
    for (let round = 0; round < rounds; round++) {
      const prefix = draw(PREFIX);
      // The first request of a prefix computes it; it is asked before, as it would be in a running service.
      await answer(engine, request({ prompt: [...prefix, ...draw(OWN)], maxTokens: 1 }));
      reused.push(await prefillMs(() => prefix));
      fresh.push(await prefillMs(() => draw(PREFIX)));
      again.push(await prefillMs(() => draw(PREFIX)));
    }
    yield { name: 'prefill of all, prefix seen before', unit: 'ms', value: median(reused) };
    yield { name: 'prefill of all, prefixes unseen', unit: 'ms', value: median(fresh) };
    yield ratioFinding('A/A, prefill without reuse', pairedRatio(again, fresh));
    yield ratioFinding('prefill with reuse ÷ without', pairedRatio(reused, fresh), { atMost: 0.25 });
  } finally {
    await engine.close();
  }
}
