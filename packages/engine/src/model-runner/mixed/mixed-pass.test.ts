import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { concatDecoder, DECODER_TINY, type DecoderOptions, decoder, ExternalDataFile } from '@shoal/onnx-graph';
import { loadOrt } from '@shoal/ort';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestRandom } from '../../testing/random.ts';
import { ScriptedRunner } from '../../testing/scripted-runner.ts';
import { type LoadedGraph, loadGraph } from '../load-graph.ts';
import { OrtRunner } from '../ort-runner.ts';
import { settleInvariance } from '../settle-invariance.ts';
import { settleMixed } from './probe-mixed.ts';

const SHAPE: DecoderOptions = { ...DECODER_TINY, vocab: 261, maxLen: 256 };
const SLOTS = 17;
const MAX_LENGTH = 256;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-mixed-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function loaded(build: (externalData: ExternalDataFile) => Uint8Array, mixed = true): Promise<LoadedGraph> {
  const name = `${Math.random()}.onnx`;
  const externalData = new ExternalDataFile(join(folder, `${name}_data`));
  const graph = join(folder, name);
  await writeFile(graph, build(externalData));
  externalData.close();
  const ort = await loadOrt({ backend: 'capi' });
  return loadGraph(ort, { graph, executionProvider: 'cpu', intraOpThreads: 1, attention: 'plain', mixed });
}

/** As a hub's cache has it: links to files that are called by their hash. */
async function throughLinks(): Promise<LoadedGraph> {
  const [blobs, snapshot] = [join(folder, 'blobs'), join(folder, 'snapshot')];
  await Promise.all([mkdir(blobs), mkdir(snapshot)]);
  const externalData = new ExternalDataFile(join(blobs, 'model.onnx_data'));
  await writeFile(join(blobs, '9a0364b9'), decoder({ ...SHAPE, externalData }));
  externalData.close();
  await rename(join(blobs, 'model.onnx_data'), join(blobs, 'e99a18c4'));
  await symlink(join(blobs, '9a0364b9'), join(snapshot, 'model.onnx'));
  await symlink(join(blobs, 'e99a18c4'), join(snapshot, 'model.onnx_data'));
  const graph = join(snapshot, 'model.onnx');
  return loadGraph(await loadOrt({ backend: 'capi' }), {
    graph,
    executionProvider: 'cpu',
    intraOpThreads: 1,
    mixed: true,
  });
}

async function runnerOf(graph: LoadedGraph): Promise<OrtRunner> {
  const ort = await loadOrt({ backend: 'capi' });
  const runner = new OrtRunner({ ...graph, ort, slots: SLOTS, maxLength: MAX_LENGTH, intraOpThreads: 1 });
  await settleInvariance(runner);
  return runner;
}

const GRAPHS: [string, (externalData: ExternalDataFile) => Uint8Array][] = [
  ['fp32, weights beside the graph', (externalData) => decoder({ ...SHAPE, externalData })],
  ['fp32, weights in the graph', () => decoder(SHAPE)],
  [
    'fp32, which computes the logits of chosen positions',
    (externalData) => decoder({ ...SHAPE, logitsIndex: true, externalData }),
  ],
  ['fp16', (externalData) => decoder({ ...SHAPE, dtype: 'fp16', externalData })],
  ['q4', (externalData) => decoder({ ...SHAPE, dtype: 'q4', externalData })],
];

describe.runIf(process.platform !== 'win32').each(GRAPHS)('a decode step that carries a chunk: %s', (_, build) => {
  it('computes to the last bit what a decode step and a pass over the chunk compute', async () => {
    const runner = await runnerOf(await loaded(build));
    const random = new TestRandom(9);
    const tokens = (count: number): number[] => random.tokens(count, 261);
    for (let round = 0; round < 12; round++) {
      const rows = random.integer(1, SLOTS - 1);
      const prompts = Array.from({ length: rows }, () => tokens(random.integer(2, 40)));
      const pasts = prompts.map((prompt) => prompt.length);
      // The first chunk of a prompt, and one behind others.
      const begun = round % 3 === 0 ? [] : tokens(random.integer(2, 60));
      const chunk = { past: begun.length, tokenIds: tokens(random.integer(2, 80)) };
      const [inputs, next] = [tokens(rows), tokens(rows + 1)];
      const lengths = [...pasts.map((past) => past + 1), begun.length + chunk.tokenIds.length];
      const logits = (output: { logits(row: number): Float32Array }, count: number): Float32Array[] =>
        Array.from({ length: count }, (_, row) => output.logits(row).slice());
      const begin = async (): Promise<void> => {
        await runner.prefill(0, prompts);
        if (begun.length > 0) await runner.prefill(rows, [begun]);
      };
      await begin();
      const apart = logits(await runner.decode(inputs, pasts, begun.length), rows);
      const { past, tokenIds } = chunk;
      const alone = past === 0 ? await runner.prefill(rows, [tokenIds]) : await runner.extend(rows, past, tokenIds);
      apart.push(...logits(alone, 1), ...logits(await runner.decode(next, lengths, 0), rows + 1));
      await begin();
      expect(runner.mixed).toBeDefined();
      const mixed = logits(await Promise.resolve(runner.mixed?.(inputs, pasts, chunk)).then(defined), rows + 1);
      mixed.push(...logits(await runner.decode(next, lengths, 0), rows + 1));
      expect(mixed.every((row, i) => row.every((value, id) => Object.is(value, apart[i]?.[id])))).toBe(true);
    }
    await runner.close();
  });
});

it.runIf(process.platform !== 'win32')('finds weights behind the links of a hub’s cache', async () => {
  const { session, mixedSession } = await throughLinks();
  expect(mixedSession).toBeDefined();
  mixedSession?.dispose();
  session.dispose();
});

function defined<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('there is no mixed pass');
  return value;
}

describe('a runner without mixed passes', () => {
  it.each<[string, (externalData: ExternalDataFile) => Uint8Array]>([
    ['activations that are quantised by their company', () => decoder({ ...SHAPE, dtype: 'int8' })],
    ['a cache that grows', () => concatDecoder(SHAPE)],
  ])('because of %s', async (_, build) => {
    const { session, mixedSession } = await loaded(build);
    expect(mixedSession).toBeUndefined();
    session.dispose();
  });

  it('because nobody asked for them', async () => {
    const { session, mixedSession } = await loaded(() => decoder(SHAPE), false);
    expect(mixedSession).toBeUndefined();
    session.dispose();
  });

  it.each([
    ['stay where they compute the same', false],
    ['go where a bit differs', true],
  ])('because of a probe: they %s', async (_, differs) => {
    const size = { slots: SLOTS, maxLength: MAX_LENGTH, vocabSize: 261 };
    const next = (history: readonly number[]): number => history.length;
    const scripted = new ScriptedRunner({ ...size, next, mixes: true });
    const runner = Object.assign(scripted, { padsLoneRow: false, cachePath: 'scripted' });
    let mixed = false;
    runner.beforeRun = (pass) => {
      mixed = pass === 'mixed';
    };
    runner.spoil = (_history, logits) => {
      if (mixed && differs) logits[3] = 2 ** -20;
    };
    await settleMixed(runner);
    expect(runner.mixed === undefined).toBe(differs);
  });
});
