import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GraphBuilder } from '@shoal/onnx-graph';
import { loadOrt, type OrtBackend } from '@shoal/ort';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LoadedGraph, loadGraph } from './load-graph.ts';
import { OrtRunner } from './ort-runner.ts';

const VOCABULARY = 8;

let ort: OrtBackend;
let directory: string;
beforeAll(async () => {
  ort = await loadOrt();
  directory = await mkdtemp(join(tmpdir(), 'shoal-graph-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

interface Parts {
  inputs: readonly string[];
  outputs: readonly string[];
  /** Positions that the cache comes out longer: 1 in exports without in-place attention. */
  grows: 0 | 1 | 2;
}

/** A graph with a decoder's inputs and outputs, whose logits are its position ids. */
function fakeDecoder({ inputs, outputs, grows }: Parts): Uint8Array {
  const g = new GraphBuilder({ name: 'fake' });
  const cache = ['batch_size', 2, 'past', 4];
  for (const name of inputs) {
    if (name.startsWith('past')) g.input(name, 'float32', cache);
    else g.input(name, 'int64', ['batch_size', `${name}_length`]);
  }
  if (outputs.includes('logits')) {
    const source = inputs.includes('position_ids') ? 'position_ids' : 'input_ids';
    const positions = g.node('Cast', [source], { attributes: { to: { int: 1 } } });
    const column = g.node('Unsqueeze', [positions, g.int64('last', [-1])]);
    const zeros = g.initializer('zeros', 'float32', [1, 1, VOCABULARY], new Float32Array(VOCABULARY));
    g.output(g.node('Add', [column, zeros], { outputs: ['logits'] }), 'float32', ['batch_size', 'length', VOCABULARY]);
  }
  for (const name of outputs.filter((output) => output.startsWith('present'))) {
    const past = name.replace('present', 'past_key_values');
    if (grows > 0) {
      const fresh = g.node('Slice', [past, ...[0, grows, 2].map((value, i) => g.int64(`${name}.slice.${i}`, [value]))]);
      g.node('Concat', [past, fresh], { attributes: { axis: { int: 2 } }, outputs: [name] });
    } else g.node('Identity', [past], { outputs: [name] });
    g.output(name, 'float32', ['batch_size', 2, 'total', 4]);
  }
  return g.toBytes();
}

const WHOLE: Parts = {
  inputs: ['input_ids', 'attention_mask', 'past_key_values.0.key', 'past_key_values.0.value'],
  outputs: ['logits', 'present.0.key', 'present.0.value'],
  grows: 0,
};

let graphs = 0;
async function load(parts: Parts): Promise<LoadedGraph> {
  const graph = join(directory, `${++graphs}.onnx`);
  await writeFile(graph, fakeDecoder(parts));
  return loadGraph(ort, { graph, executionProvider: 'cpu', intraOpThreads: 1 });
}

describe('loading a graph', () => {
  it('reads what it takes and gives', async () => {
    const { session, signature, cacheUpdate } = await load(WHOLE);
    expect(cacheUpdate).toBe('in-place');
    expect(signature).toEqual({
      layers: [
        {
          pastKey: 'past_key_values.0.key',
          pastValue: 'past_key_values.0.value',
          presentKey: 'present.0.key',
          presentValue: 'present.0.value',
        },
      ],
      kvHeads: 2,
      headSize: 4,
      cacheType: 'float32',
      logitsType: 'float32',
      vocabSize: VOCABULARY,
      positionIds: false,
      logitsIndex: false,
      useCacheBranch: false,
    });
    session.dispose();
  });

  it('finds out that a cache comes out longer, whatever the graph calls things', async () => {
    const { session, cacheUpdate } = await load({ ...WHOLE, grows: 1 });
    expect(cacheUpdate).toBe('concat');
    session.dispose();
  });

  it.each<[string, Partial<Parts>, RegExp]>([
    [
      'a missing input',
      { inputs: WHOLE.inputs.filter((name) => name !== 'attention_mask') },
      /no input attention_mask/,
    ],
    ['no cache', { inputs: WHOLE.inputs.slice(0, 2), outputs: ['logits'] }, /no input past_key_values.0.key/],
    [
      'half a cache',
      { inputs: WHOLE.inputs.slice(0, 3), outputs: ['logits', 'present.0.key'] },
      /no input past_key_values.0.value/,
    ],
    ['a missing output', { outputs: WHOLE.outputs.slice(0, 2) }, /no output present.0.value/],
    ['no logits', { outputs: WHOLE.outputs.slice(1) }, /no output logits/],
    [
      'inputs that nobody knows',
      { inputs: [...WHOLE.inputs, 'pixel_values', 'beam'] },
      /cannot feed: pixel_values, beam/,
    ],
    ['a cache that neither stays nor grows by one', { grows: 2 }, /neither .* \(6 positions,6 positions\); export it/],
  ])('refuses %s by its name', async (_, change, message) => {
    const loading = load({ ...WHOLE, ...change });
    await expect(loading).rejects.toMatchObject({ code: 'model_not_found' });
    await expect(loading).rejects.toThrow(message);
    await expect(loading).rejects.toThrow(/^\S+\.onnx: [^\n]*; /);
  });

  it('refuses a file that is no graph', async () => {
    const graph = join(directory, 'text.onnx');
    await writeFile(graph, 'not a graph');
    const loading = loadGraph(ort, { graph, executionProvider: 'cpu', intraOpThreads: 1 });
    await expect(loading).rejects.toThrow(/text.onnx: cannot be loaded: [^\n]*; the file is corrupt or incomplete/);
  });

  it('refuses a provider that is not there', async () => {
    const graph = join(directory, 'whole.onnx');
    await writeFile(graph, fakeDecoder(WHOLE));
    const loading = loadGraph(ort, { graph, executionProvider: 'cuda', intraOpThreads: 1 });
    await expect(loading).rejects.toMatchObject({ code: 'model_not_found' });
  });
});

describe('a graph that takes position ids', () => {
  it('is told each token’s own position: in a prefill, in a later chunk, in a ragged decode step', async () => {
    const loaded = await load({ ...WHOLE, inputs: [...WHOLE.inputs, 'position_ids'] });
    const runner = new OrtRunner({ ort, ...loaded, slots: 3, maxLength: 32, intraOpThreads: 1 });
    const prefill = await runner.prefill(0, [[1, 1, 1, 1, 1], [1], [1, 1]]);
    expect([0, 1, 2].map((row) => prefill.logits(row)[0])).toEqual([4, 0, 1]);
    expect((await runner.extend(1, 1, [1, 1, 1])).logits(0)[0]).toBe(3);
    const decode = await runner.decode([1, 1, 1], [5, 4, 2], 0);
    expect([0, 1, 2].map((row) => decode.logits(row)[0])).toEqual([5, 4, 2]);
    await runner.close();
  });
});
