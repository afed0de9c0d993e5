import type { SamplingParams } from '@shoal/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine } from './engine.ts';
import type { EngineRequest, FinishedEvent } from './generation-engine.ts';
import { MINNOW, MIXED_PROMPTS } from './testing/minnow.ts';
import { GREEDY, readAnswer } from './testing/scripted-engine.ts';

/** Half of them as chat, half as raw text, 40 tokens at most. */
function mixed(params: SamplingParams): EngineRequest[] {
  return MIXED_PROMPTS.map((text, i) => ({
    id: `r${i}`,
    ...(i % 2 === 0 ? { prompt: text } : { messages: [{ role: 'user', content: text }] }),
    params: { ...params, maxTokens: 5 + (i % 36) },
  }));
}

describe.each(['continuous', 'static'] as const)('the engine on a real model, %s batching', (batching) => {
  let engine: Engine;

  beforeAll(async () => {
    engine = await Engine.load({ modelDirectory: MINNOW, batching, maxBatchSize: 16, intraOpThreads: 1 });
  });
  afterAll(() => engine.close());

  async function oneByOne(requests: readonly EngineRequest[]): Promise<FinishedEvent[]> {
    const answers = [];
    for (const request of requests) answers.push(await readAnswer(engine.generate(request)));
    return answers;
  }

  const together = (requests: readonly EngineRequest[]): Promise<FinishedEvent[]> =>
    Promise.all(requests.map((request) => readAnswer(engine.generate(request))));

  const essence = (answers: readonly FinishedEvent[]) =>
    answers.map(({ text, tokenIds, finishReason }) => ({ text, tokenIds, finishReason }));

  it.each([
    ['greedy', GREEDY],
    ['sampled with a seed', { temperature: 1.2, topP: 0.95, topK: 50, stop: [], seed: 99 }],
  ])('answers 64 mixed prompts in batches byte for byte as one by one: %s', async (_, params) => {
    const requests = mixed(params);
    const batched = await together(requests);
    expect(Math.max(...batched.map((answer) => answer.batchSize))).toBeGreaterThan(8);
    expect(essence(batched)).toEqual(essence(await oneByOne(requests)));
  });

  it('leaves the mates of an aborted reader, and of a bad request, as they were', async () => {
    const requests = mixed(GREEDY).slice(0, 16);
    const expected = essence(await oneByOne(requests));
    const answers = requests.map(async (request, i) => {
      if (i === 5) return readAnswer(engine.generate({ ...request, prompt: '' }));
      if (i !== 9) return readAnswer(engine.generate(request));
      for await (const event of engine.generate(request)) {
        if (event.type === 'tokens' && event.position > 1) break;
      }
      throw new Error('left');
    });
    const settled = await Promise.allSettled(answers);
    for (const [i, outcome] of settled.entries()) {
      if (outcome.status === 'fulfilled') expect(essence([outcome.value])).toEqual([expected[i]]);
    }
    expect(settled.flatMap((outcome, i) => (outcome.status === 'rejected' ? [i] : []))).toEqual([5, 9]);
  });
});
