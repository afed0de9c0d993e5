import { rm } from 'node:fs/promises';
import { concatDecoder, DECODER_TINY, type DecoderOptions, decoder } from '@shoal/onnx-graph';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine } from './engine.ts';
import type { EngineOptions } from './engine-options.ts';
import type { EngineFact } from './events.ts';
import type { EngineRequest } from './generation-engine.ts';
import { MIXED_PROMPTS } from './testing/minnow.ts';
import { modelDirectory } from './testing/model-directory.ts';
import { GREEDY, readAnswer } from './testing/scripted-engine.ts';

/** Random weights, but one and the same model in every form. */
const SHAPE: DecoderOptions = { ...DECODER_TINY, vocab: 261, maxLen: 512 };
const SAMPLED = { temperature: 1.5, topP: 1, topK: 0, stop: [], seed: 4 };

const prompts = (count: number): EngineRequest[] =>
  MIXED_PROMPTS.slice(0, count).map((prompt, i) => ({
    id: `r${i}`,
    prompt,
    params: { ...(i % 2 === 0 ? GREEDY : SAMPLED), maxTokens: 5 + ((i * 13) % 70) },
  }));

const tokensOf = async (engine: Engine, request: EngineRequest): Promise<number[]> =>
  (await readAnswer(engine.generate(request))).tokenIds;

/** Forms in which exporters write a decoder, and the greedy tokens of the first must be those of the others. */
const EXPORTS: [string, 'fp32' | 'fp16', () => Uint8Array][] = [
  ['an export of Optimum', 'fp32', () => concatDecoder(SHAPE)],
  ['an export of Optimum without position ids', 'fp32', () => concatDecoder({ ...SHAPE, positionIds: false })],
  ['an export of Optimum in half precision', 'fp16', () => concatDecoder({ ...SHAPE, dtype: 'fp16' })],
  ['an export for GroupQueryAttention in half precision', 'fp16', () => decoder({ ...SHAPE, dtype: 'fp16' })],
];

describe.each(EXPORTS)('the engine on %s', (name, dtype, graph) => {
  let directory: string;
  const load = (options: Partial<EngineOptions> = {}): Promise<Engine> =>
    Engine.load({ modelDirectory: directory, dtype, intraOpThreads: 1, ...options });

  beforeAll(async () => {
    directory = await modelDirectory(graph(), dtype);
  });
  afterAll(() => rm(directory, { recursive: true }));

  it('says as much as the same weights in place, and the same in single precision', async () => {
    const reference = await modelDirectory(decoder(SHAPE));
    const [engine, other] = [await load(), await Engine.load({ modelDirectory: reference, intraOpThreads: 1 })];
    const requests = prompts(8).map((request) => ({ ...request, params: { ...GREEDY, maxTokens: 30 } }));
    const pairs = [];
    for (const request of requests) pairs.push([await tokensOf(engine, request), await tokensOf(other, request)]);
    await Promise.all([engine.close(), other.close(), rm(reference, { recursive: true })]);
    // Half precision decides otherwise where two tokens are nearly as likely, and goes on from there.
    for (const [got, wanted] of pairs) expect(got?.slice(0, 3)).toEqual(wanted?.slice(0, 3));
    if (dtype === 'fp32') for (const [got, wanted] of pairs) expect(got).toEqual(wanted);
  });

  it('answers in batches byte for byte as one by one, and finds itself invariant', async () => {
    const engine = await load();
    expect(engine.model.invariance).toEqual({ batch: true, padding: true, chunk: true, replay: true });
    const requests = prompts(24);
    const expected = [];
    for (const request of requests) expected.push(await tokensOf(engine, request));
    const facts: EngineFact[] = [];
    engine.observe((fact) => facts.push(fact));
    expect(await Promise.all(requests.map((request) => tokensOf(engine, request)))).toEqual(expected);
    expect(Math.max(...facts.map((fact) => (fact.type === 'step' ? fact.batchSize : 0)))).toBeGreaterThan(8);
    await engine.close();
  });

  it('answers the same after preemption and chunked prefill, in a cache too small for all', async () => {
    const quiet = await load();
    const requests = prompts(16).map((request) => ({ ...request, params: { ...SAMPLED, maxTokens: 90 } }));
    const expected = [];
    for (const request of requests) expected.push(await tokensOf(quiet, request));
    await quiet.close();
    // The smallest budgets that hold a sequence of full length.
    const kvCacheMb = dtype === 'fp16' ? 1 : 2;
    const engine = await load({ maxModelLen: 200, kvCacheMb, maxBatchTokens: 24, maxBatchSize: 12 });
    const facts: EngineFact[] = [];
    engine.observe((fact) => facts.push(fact));
    expect(await Promise.all(requests.map((request) => tokensOf(engine, request)))).toEqual(expected);
    await engine.close();
    // A chunk of a prompt has a pass of its own, or rides in a decode step.
    const chunks = facts.filter((fact) => fact.type === 'step' && (fact.phase === 'prefill' || fact.promptTokens));
    expect(chunks.length).toBeGreaterThan(16);
    // Without copies even the smallest budget has room for all.
    expect(facts.some((fact) => fact.type === 'preempted')).toBe(name.includes('Optimum'));
  });

  it('goes on from any position of its log with the same tokens', async () => {
    const engine = await load();
    const request: EngineRequest = { id: 'whole', prompt: 'A story.', params: { ...SAMPLED, maxTokens: 30 } };
    const whole = await tokensOf(engine, request);
    const resumed = await Promise.all(
      whole.map(async (_, cut) => {
        const resumeFrom = { tokenIds: whole.slice(0, cut) };
        for await (const event of engine.generate({ ...request, id: `cut${cut}`, resumeFrom })) {
          if (event.type === 'finished') return event.tokenIds;
        }
        return [];
      }),
    );
    await engine.close();
    expect(resumed).toEqual(whole.map(() => whole));
  });

  it('frees the row of a reader that left, whose mates go on', async () => {
    const engine = await load();
    const [first, second] = prompts(2).map((request) => ({ ...request, params: { ...GREEDY, maxTokens: 40 } }));
    if (first === undefined || second === undefined) throw new Error('two prompts');
    const expected = await tokensOf(engine, second);
    const mate = tokensOf(engine, second);
    for await (const event of engine.generate(first)) if (event.type === 'tokens' && event.position > 1) break;
    expect(await mate).toEqual(expected);
    expect(engine.stats()).toMatchObject({ waiting: 0, running: 0 });
    await engine.close();
  });
});
