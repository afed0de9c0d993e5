import { join } from 'node:path';
import {
  type ConcatDecoderOptions,
  concatDecoder,
  DECODER_TINY,
  type DecoderOptions,
  decoder,
} from '@shoal/onnx-graph';
import { loadOrt } from '@shoal/ort';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DeviceSlabs } from '../kv-cache/device-slabs.ts';
import { MINNOW } from '../testing/minnow.ts';
import { ScriptedRunner } from '../testing/scripted-runner.ts';
import { ConcatRunner } from './concat/concat-runner.ts';
import { readSignature } from './graph-signature.ts';
import { loadGraph } from './load-graph.ts';
import type { ModelRunner, StepOutput } from './model-runner.ts';
import { OrtRunner, rowsOfCache } from './ort-runner.ts';
import { probeCacheUpdate } from './probe-cache-update.ts';

const SLOTS = 4;
const MAX_LENGTH = 200;

async function onMinnow(backend: 'capi' | 'node-binding'): Promise<ModelRunner> {
  const ort = await loadOrt({ backend });
  const graph = join(MINNOW, 'onnx', 'model.onnx');
  const loaded = await loadGraph(ort, { graph, executionProvider: 'cpu', intraOpThreads: 1 });
  return new OrtRunner({ ort, ...loaded, slots: SLOTS, maxLength: MAX_LENGTH, intraOpThreads: 1 });
}

async function onConcat(
  backend: 'capi' | 'node-binding',
  options: Partial<ConcatDecoderOptions> = {},
  padsCache = options.positionIds !== false,
): Promise<ModelRunner> {
  const ort = await loadOrt({ backend });
  const graph = concatDecoder({ ...DECODER_TINY, vocab: 261, maxLen: 256, ...options });
  const session = await ort.createSession(graph, { intraOpThreads: 1 });
  const signature = readSignature(session.inputs, session.outputs);
  expect(await probeCacheUpdate(ort, session, signature)).toBe('concat');
  const size = { slots: SLOTS, maxLength: MAX_LENGTH, contextLength: 250, intraOpThreads: 1 };
  const runner = new ConcatRunner({ ort, session, signature, ...size });
  runner.padsCache = padsCache;
  return runner;
}

async function onTiny(): Promise<ModelRunner> {
  const ort = await loadOrt();
  const graph = decoder({ ...DECODER_TINY, vocab: 261, maxLen: 256, logitsIndex: true });
  const session = await ort.createSession(graph, { intraOpThreads: 1 });
  const signature = readSignature(session.inputs, session.outputs);
  return new OrtRunner({ ort, session, signature, slots: SLOTS, maxLength: MAX_LENGTH, intraOpThreads: 1 });
}

/** The cache in memory that is treated as a device's, which on the CPU provider it is not. */
async function onDevice(options: Partial<DecoderOptions> = {}): Promise<ModelRunner> {
  const ort = await loadOrt({ backend: 'capi' });
  const sessionOptions = { intraOpThreads: 1 };
  const graph = decoder({ ...DECODER_TINY, vocab: 261, maxLen: 256, ...options });
  const session = await ort.createSession(graph, sessionOptions);
  const signature = readSignature(session.inputs, session.outputs);
  const size = { ort, session, signature, slots: SLOTS, maxLength: MAX_LENGTH, intraOpThreads: 1 };
  const location = { name: 'Cpu', deviceId: 0 };
  const slots = rowsOfCache(size);
  const cache = await DeviceSlabs.create({ ...size, slots, length: MAX_LENGTH, location, sessionOptions });
  return new OrtRunner({ ...size, cache });
}

/** What every ModelRunner must do, the scripted double included. */
const RUNNERS: [string, () => Promise<ModelRunner>][] = [
  [
    'ScriptedRunner',
    async () =>
      new ScriptedRunner({
        slots: SLOTS,
        maxLength: MAX_LENGTH,
        vocabSize: 261,
        next: (history) => history.reduce((hash, token, i) => (hash * 31 + token * (i + 7)) % 261, 1),
      }),
  ],
  ['OrtRunner over the C API', () => onMinnow('capi')],
  ["OrtRunner over onnxruntime-node's sessions", () => onMinnow('node-binding')],
  ['OrtRunner on a graph that computes logits where it is told', () => onTiny()],
  ['OrtRunner over a cache that host code does not touch', () => onDevice()],
  ['OrtRunner over such a cache in half precision', () => onDevice({ dtype: 'fp16', logitsIndex: true })],
  ['ConcatRunner over the C API', () => onConcat('capi')],
  ["ConcatRunner over onnxruntime-node's sessions", () => onConcat('node-binding')],
  ['ConcatRunner without padding', () => onConcat('capi', {}, false)],
  ['ConcatRunner on a graph without position ids', () => onConcat('capi', { positionIds: false })],
  ['ConcatRunner in half precision', () => onConcat('capi', { dtype: 'fp16' })],
];

/** Reproducible token ids. */
function tokens(seed: number, length: number): number[] {
  return Array.from({ length }, (_, i) => 32 + ((seed * 7919 + i * 104_729) % 90));
}

/** A copy: the output is valid only until the next run. */
function row(output: StepOutput, index: number): number[] {
  return [...output.logits(index)];
}

describe.each(RUNNERS)('%s', (_, create) => {
  let runner: ModelRunner;

  beforeAll(async () => {
    runner = await create();
  });
  afterAll(() => runner.close());

  const PROMPTS = [tokens(1, 9), tokens(2, 30), tokens(3, 1), tokens(4, 17)];

  /** Each prompt, and then six tokens, alone in row 0. */
  async function alone(prompt: readonly number[]): Promise<number[][]> {
    const logits = [row(await runner.prefill(0, [prompt]), 0)];
    for (let step = 0; step < 6; step++) {
      logits.push(row(await runner.decode([tokens(step, 1)[0] ?? 0], [prompt.length + step], 0), 0));
    }
    return logits;
  }

  it('has the vocabulary, slots and length it was asked for', () => {
    expect(runner).toMatchObject({ slots: SLOTS, maxLength: MAX_LENGTH, vocabSize: 261 });
  });

  it('computes a ragged batch, prefill and decode, bit for bit as each row alone', async () => {
    const expected = [];
    for (const prompt of PROMPTS) expected.push(await alone(prompt));
    const prefill = await runner.prefill(0, PROMPTS);
    const together = PROMPTS.map((_, i) => [row(prefill, i)]);
    for (let step = 0; step < 6; step++) {
      const token = tokens(step, 1)[0] ?? 0;
      const output = await runner.decode(
        PROMPTS.map(() => token),
        PROMPTS.map((prompt) => prompt.length + step),
        0,
      );
      for (const [i, logits] of together.entries()) logits.push(row(output, i));
    }
    expect(together).toEqual(expected);
  });

  it('tells prompts apart', async () => {
    const output = await runner.prefill(0, [tokens(1, 9), tokens(2, 9)]);
    expect(row(output, 0)).not.toEqual(row(output, 1));
  });

  it.each([
    [15, 2],
    [5, 12],
    [2, 7, 8],
  ])('computes chunks of %i, %i, … bit for bit as one prefill', async (...sizes) => {
    const prompt = tokens(5, 17);
    const expected = row(await runner.prefill(0, [prompt]), 0);
    let past = 0;
    let last: number[] = [];
    for (const size of sizes) {
      const chunk = prompt.slice(past, past + size);
      last = row(past === 0 ? await runner.prefill(2, [chunk]) : await runner.extend(2, past, chunk), 0);
      past += size;
    }
    expect(last).toEqual(expected);
  });

  it('prefills rows behind others without touching those', async () => {
    const [first = [], second = []] = [tokens(6, 12), tokens(7, 120)];
    await runner.prefill(0, [first]);
    const expected = row(await runner.decode([40], [first.length], 0), 0);
    await runner.prefill(0, [first]);
    await runner.prefill(1, [second, tokens(8, 3)]);
    await runner.extend(2, 3, tokens(9, 4));
    expect(row(await runner.decode([40], [first.length], 0), 0)).toEqual(expected);
  });

  it('copies a row', async () => {
    const prompt = tokens(10, 100);
    const expected = (await alone(prompt))[1];
    await runner.prefill(0, [tokens(11, prompt.length)]);
    await runner.prefill(2, [prompt]);
    runner.copySlot(2, 0, prompt.length);
    expect(row(await runner.decode([tokens(0, 1)[0] ?? 0], [prompt.length], 0), 0)).toEqual(expected);
  });

  it('copies rows one after another, and goes on with a prefill behind what was copied', async () => {
    const prompt = tokens(17, 40);
    const expected = row(await runner.prefill(0, [prompt]), 0);
    await runner.prefill(0, [tokens(18, 40)]);
    await runner.prefill(3, [prompt.slice(0, 30)]);
    runner.copySlot(3, 2, 30);
    runner.copySlot(2, 1, 25);
    runner.freeSlot(3);
    runner.freeSlot(2);
    expect(row(await runner.extend(1, 25, prompt.slice(25)), 0)).toEqual(expected);
  });

  it('replays: prompt prefilled, then known tokens fed again, gives the bits of the first time', async () => {
    const prompt = tokens(12, 20);
    const first = await alone(prompt);
    await runner.prefill(0, [tokens(13, 60)]);
    expect(await alone(prompt)).toEqual(first);
  });

  it('decodes the same whatever longer rows it has held before', async () => {
    const fresh = await create();
    const prompt = tokens(15, 10);
    const first = row(await fresh.prefill(0, [prompt]), 0);
    const second = row(await fresh.decode([50], [prompt.length], 0), 0);
    await fresh.prefill(0, [tokens(16, MAX_LENGTH - 1)]);
    await fresh.decode([51], [MAX_LENGTH - 1], 0);
    fresh.freeSlot(0);
    expect(row(await fresh.prefill(0, [prompt]), 0)).toEqual(first);
    expect(row(await fresh.decode([50], [prompt.length], 0), 0)).toEqual(second);
    await fresh.close();
  });

  it('rejects more positions than a row has', async () => {
    await expect(runner.prefill(0, [tokens(14, MAX_LENGTH + 1)])).rejects.toThrow();
  });
});
