import { join } from 'node:path';
import { DECODER_TINY, decoder } from '@shoal/onnx-graph';
import { loadOrt } from '@shoal/ort';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MINNOW } from '../testing/minnow.ts';
import { ScriptedRunner } from '../testing/scripted-runner.ts';
import { readSignature } from './graph-signature.ts';
import { loadGraph } from './load-graph.ts';
import type { ModelRunner, StepOutput } from './model-runner.ts';
import { OrtRunner } from './ort-runner.ts';

const SLOTS = 4;
const MAX_LENGTH = 200;

async function onMinnow(backend: 'capi' | 'node-binding'): Promise<ModelRunner> {
  const ort = await loadOrt({ backend });
  const graph = join(MINNOW, 'onnx', 'model.onnx');
  const loaded = await loadGraph(ort, { graph, executionProvider: 'cpu', intraOpThreads: 1 });
  return new OrtRunner({ ort, ...loaded, slots: SLOTS, maxLength: MAX_LENGTH, intraOpThreads: 1 });
}

async function onTiny(): Promise<ModelRunner> {
  const ort = await loadOrt();
  const graph = decoder({ ...DECODER_TINY, vocab: 261, maxLen: 256, logitsIndex: true });
  const session = await ort.createSession(graph, { intraOpThreads: 1 });
  const signature = readSignature(session.inputs, session.outputs);
  return new OrtRunner({ ort, session, signature, slots: SLOTS, maxLength: MAX_LENGTH, intraOpThreads: 1 });
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
    await runner.prefill(0, [tokens(11, 5)]);
    const expected = (await alone(prompt))[1];
    await runner.prefill(2, [prompt]);
    runner.copySlot(2, 0, prompt.length);
    expect(row(await runner.decode([tokens(0, 1)[0] ?? 0], [prompt.length], 0), 0)).toEqual(expected);
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
