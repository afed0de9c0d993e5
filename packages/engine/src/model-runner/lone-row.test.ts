import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DECODER_TINY, decoder, ExternalDataFile } from '@shoal/onnx-graph';
import { loadOrt } from '@shoal/ort';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadGraph } from './load-graph.ts';
import { settleMixed } from './mixed/probe-mixed.ts';
import type { StepOutput } from './model-runner.ts';
import { OrtRunner } from './ort-runner.ts';
import { settleInvariance } from './settle-invariance.ts';

const VOCAB = 261;
const SLOTS = 130;
/** The kernels share a product among threads in tiles of 128 rows; with a single thread there is one tile. */
const THREADS = 2;

const tokens = (count: number, seed: number): number[] =>
  Array.from({ length: count }, (_, i) => 1 + ((seed * 31 + i * 37) % (VOCAB - 1)));
const rowsOf = (output: StepOutput, rows: number): Float32Array[] =>
  Array.from({ length: rows }, (_, row) => output.logits(row).slice());

describe('4-bit weights, several threads', () => {
  let folder: string;
  let runner: OrtRunner;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shoal-tile-'));
    const externalData = new ExternalDataFile(join(folder, 'model.onnx_data'));
    const graph = join(folder, 'model.onnx');
    await writeFile(graph, decoder({ ...DECODER_TINY, vocab: VOCAB, maxLen: 320, dtype: 'q4', externalData }));
    externalData.close();
    const ort = await loadOrt({ backend: 'capi' });
    const provider = { executionProvider: 'cpu', intraOpThreads: THREADS, attention: 'plain' } as const;
    const loaded = await loadGraph(ort, { graph, ...provider, mixed: true });
    runner = new OrtRunner({ ...loaded, ort, slots: SLOTS, maxLength: 300, intraOpThreads: THREADS });
    await settleInvariance(runner);
    await settleMixed(runner);
  });
  afterAll(async () => {
    await runner.close();
    await rm(folder, { recursive: true });
  });

  it.each([129, 257, 258])('a prompt of %i tokens has the bits of its halves', async (length) => {
    const prompt = tokens(length, 3);
    const whole = rowsOf(await runner.prefill(0, [prompt]), 1);
    await runner.prefill(1, [prompt.slice(0, 100)]);
    expect(rowsOf(await runner.extend(1, 100, prompt.slice(100)), 1)).toEqual(whole);
  });

  it('prompts that fill a tile and one row together have the bits that each has alone', async () => {
    const prompts = [43, 40, 43].map((length, i) => tokens(length, i));
    const together = rowsOf(await runner.prefill(0, prompts), 3);
    for (const [i, prompt] of prompts.entries()) {
      expect(rowsOf(await runner.prefill(5, [prompt]), 1)).toEqual([together[i]]);
    }
  });

  it('a decode step of 129 rows has the bits of smaller ones', async () => {
    const prompts = Array.from({ length: 129 }, (_, i) => tokens(2 + (i % 5), i));
    const pasts = prompts.map((prompt) => prompt.length);
    const inputs = tokens(129, 5);
    await runner.prefill(0, prompts);
    const together = rowsOf(await runner.decode(inputs, pasts, 0), 129);
    const [last = []] = prompts.slice(128);
    await runner.prefill(0, [last, [7, 8]]);
    const [alone] = rowsOf(await runner.decode([inputs[128] ?? 0, 9], [last.length, 2], 0), 1);
    expect(together[128]).toEqual(alone);
  });

  it.each([
    [1, 128],
    [16, 113],
    [127, 2],
    [126, 3],
    [125, 4],
    [128, 2],
    [128, 4],
    [128, 40],
  ])('a decode step of %i rows carries a chunk of %i tokens and changes no bits', async (rows, size) => {
    if (runner.mixed === undefined) throw new Error('no mixed passes');
    const prompts = Array.from({ length: rows }, (_, i) => tokens(2 + (i % 5), i));
    const pasts = prompts.map((prompt) => prompt.length);
    const chunk = { past: 6, tokenIds: tokens(size, 11) };
    const inputs = tokens(rows, 13);
    await runner.prefill(0, [...prompts, tokens(6, 17)]);
    const decoded = rowsOf(await runner.decode(inputs, pasts, 6), rows);
    const extended = rowsOf(await runner.extend(rows, 6, chunk.tokenIds), 1);
    await runner.prefill(0, [...prompts, tokens(6, 17)]);
    expect(rowsOf(await runner.mixed(inputs, pasts, chunk), rows + 1)).toEqual([...decoded, ...extended]);
  });
});
