import { rm } from 'node:fs/promises';
import { DECODER_TINY, type DecoderOptions, decoder } from '@shoal/onnx-graph';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine } from './engine.ts';
import type { EngineFact } from './events.ts';
import type { EngineRequest } from './generation-engine.ts';
import { modelDirectory } from './testing/model-directory.ts';
import { TestRandom } from './testing/random.ts';
import { GREEDY, readAnswer } from './testing/scripted-engine.ts';

const SHAPE: DecoderOptions = { ...DECODER_TINY, vocab: 261, maxLen: 512 };

describe.runIf(process.platform !== 'win32')('long prompts among sequences that decode', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await modelDirectory(decoder(SHAPE));
  });
  afterAll(() => rm(directory, { recursive: true }));

  it('ride in their steps, and everybody says to the last token what they say alone', async () => {
    const random = new TestRandom(4);
    const requests = Array.from({ length: 24 }, (_, i): EngineRequest => {
      const sampled = { temperature: 1.5, topP: 1, topK: 0, stop: [], seed: i };
      const params = { ...(i % 2 === 0 ? GREEDY : sampled), maxTokens: 60, ignoreEos: true };
      return { id: `r${i}`, promptTokenIds: random.tokens(i % 3 === 0 ? 300 : random.integer(2, 30), 261), params };
    });
    const load = () =>
      Engine.load({ modelDirectory: directory, intraOpThreads: 1, maxBatchSize: 9, maxBatchTokens: 40, kvCacheMb: 4 });
    const tokensOf = async (engine: Engine, request: EngineRequest): Promise<number[]> =>
      (await readAnswer(engine.generate(request))).tokenIds;
    const quiet = await load();
    const expected = [];
    for (const request of requests) expected.push(await tokensOf(quiet, request));
    await quiet.close();
    const engine = await load();
    const facts: EngineFact[] = [];
    engine.observe((fact) => facts.push(fact));
    expect(await Promise.all(requests.map((request) => tokensOf(engine, request)))).toEqual(expected);
    await engine.close();
    const riding = facts.filter((fact) => fact.type === 'step' && fact.promptTokens !== undefined);
    expect(riding.length).toBeGreaterThan(20);
  });
});
