import { Engine, type GenerationEngine } from '@shoal/engine';
import { type BenchDtype, benchModel } from '../bench-model.ts';
import { answer, request, SAMPLED, type Work } from '../contestants/engine-load.ts';
import type { Finding } from '../finding.ts';
import { random, shuffled } from '../random.ts';
import type { BenchOptions, Scenario } from '../scenario.ts';
import { mixedWork } from '../workload.ts';

const REQUESTS = 300;

/**
 * Requests in random order, arriving in bursts, in a cache too small for all of them, half of them with a prefix in
 * common: each answer must be what it is alone, token for token.
 */
export const sameAnswer: Scenario = { name: 'same-answer', title: `${REQUESTS} answers, together and alone`, run };

async function* run({ quick, threads }: BenchOptions): AsyncGenerator<Finding> {
  for (const dtype of ['fp32', 'q4'] as const) yield* compare(dtype, quick ? 60 : REQUESTS, threads);
}

async function* compare(dtype: BenchDtype, count: number, threads: number): AsyncGenerator<Finding> {
  const model = benchModel('tiny', dtype);
  const options = { modelDirectory: model.directory, dtype, intraOpThreads: threads, maxModelLen: 768 };
  const works = withPrefixes(mixedWork({ count, vocab: model.shape.vocab, seed: 11 }));
  // One after the other. With two slots, as an engine of one slot pads no lone q4 row and says so by another fingerprint.
  const alone = await Engine.load({ ...options, maxBatchSize: 2 });
  const expected: string[] = [];
  for (const [i, work] of works.entries()) expected.push(await outputOf(alone, work, i));
  await alone.close();
  // A megabyte holds 2,048 positions of this model. More are admitted than can grow to their end, so that some must
  // make room for others.
  const shared = await Engine.load({ ...options, maxBatchSize: 48, kvCacheMb: 1 });
  let preempted = 0;
  shared.observe((fact) => {
    if (fact.type === 'preempted') preempted += 1;
  });
  const got = await inBursts(shared, works);
  await shared.close();
  const equal = expected.filter((output, i) => got[i] === output).length;
  yield {
    name: `${dtype}: answers as they are alone, of ${count}`,
    unit: 'answers',
    value: equal,
    target: { atLeast: count },
  };
  yield { name: `${dtype}: preemptions on the way`, unit: 'times', value: preempted, target: { atLeast: 1 } };
}

/** Every other request begins with the same 32 tokens; answers are three times as long as in the mixed load. */
function withPrefixes(works: readonly Work[]): Work[] {
  const prefix = Array.from({ length: 32 }, (_, i) => 100 + i);
  return works.map(({ prompt, maxTokens }, i) => ({
    prompt: i % 2 === 0 ? prompt : [...prefix, ...prompt],
    maxTokens: 3 * maxTokens,
  }));
}

async function inBursts(engine: GenerationEngine, works: readonly Work[]): Promise<string[]> {
  const next = random(3);
  const outputs: Promise<string>[] = new Array<Promise<string>>(works.length);
  for (const index of shuffled([...works.keys()], next)) {
    const work = works[index];
    if (work !== undefined) outputs[index] = outputOf(engine, work, index);
    if (next() < 0.03) await new Promise((resolve) => setTimeout(resolve, 30 * next()));
  }
  return Promise.all(outputs);
}

async function outputOf(engine: GenerationEngine, work: Work, seed: number): Promise<string> {
  const { tokenIds } = await answer(engine, request(work, { ...SAMPLED, seed }));
  return tokenIds.join();
}
