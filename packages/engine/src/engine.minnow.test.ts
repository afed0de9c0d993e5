import type { SamplingParams } from '@shoal/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine } from './engine.ts';
import type { EngineFact } from './events.ts';
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

describe('the same answer, however often it is interrupted', () => {
  const params = { temperature: 1.5, topP: 1, topK: 0, stop: [], seed: 4 };

  it('by preemption and chunked prefill: 32 requests in a cache too small for them', async () => {
    const quiet = await Engine.load({ modelDirectory: MINNOW, intraOpThreads: 1 });
    const expected = [];
    const requests = mixed(params)
      .slice(0, 32)
      .map((request) => ({ ...request, params: { ...params, maxTokens: 120 } }));
    for (const request of requests) expected.push((await readAnswer(quiet.generate(request))).tokenIds);
    await quiet.close();

    const tight = { maxModelLen: 400, kvCacheMb: 1, maxBatchTokens: 24, maxBatchSize: 12 };
    const engine = await Engine.load({ modelDirectory: MINNOW, intraOpThreads: 1, ...tight });
    const facts: EngineFact[] = [];
    engine.observe((fact) => facts.push(fact));
    const answers = await Promise.all(requests.map((request) => readAnswer(engine.generate(request))));
    await engine.close();
    expect(answers.map((answer) => answer.tokenIds)).toEqual(expected);
    expect(facts.filter((fact) => fact.type === 'preempted').length).toBeGreaterThan(0);
  });

  it('by resuming from every position of its log, in one busy batch', async () => {
    const engine = await Engine.load({ modelDirectory: MINNOW, intraOpThreads: 1 });
    const request: EngineRequest = {
      id: 'whole',
      prompt: 'Tell a story about a cat.',
      params: { ...params, maxTokens: 40 },
    };
    const whole = await readAnswer(engine.generate(request));
    const resumed = await Promise.all(
      whole.tokenIds.map(async (_, cut) => {
        const resumeFrom = { tokenIds: whole.tokenIds.slice(0, cut) };
        for await (const event of engine.generate({ ...request, id: `cut${cut}`, resumeFrom })) {
          if (event.type === 'finished') return { text: event.text, tokenIds: event.tokenIds };
        }
        return undefined;
      }),
    );
    await engine.close();
    expect(resumed).toEqual(whole.tokenIds.map(() => ({ text: whole.text, tokenIds: whole.tokenIds })));
  });
});
