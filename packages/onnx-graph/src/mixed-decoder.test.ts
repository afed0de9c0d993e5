import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { DECODER_TINY, decoder } from './decoder.ts';
import { concatDecoder } from './decoder-concat.ts';
import { ExternalDataFile } from './external-data.ts';
import { externalWeights } from './external-weights.ts';
import { GraphBuilder } from './graph-builder.ts';
import { readModel } from './graph-reader.ts';
import { mixedDecoder, UnsupportedGraphError } from './mixed-decoder.ts';

const { layers, kvHeads, headDim, vocab } = DECODER_TINY;
/** Positions allocated in each row of the cache. */
const LENGTH = 16;

const int64 = (values: readonly number[], shape: number[]) =>
  new Tensor('int64', BigInt64Array.from(values, BigInt), shape);
const int32 = (values: readonly number[], shape: number[]) => new Tensor('int32', Int32Array.from(values), shape);

function numbers(tensor: Tensor | undefined): Float32Array {
  if (tensor?.data instanceof Float32Array) return tensor.data;
  throw new Error('there are no numbers');
}

function emptyCache(prefix: string, rows: number): Record<string, Tensor> {
  const cache: Record<string, Tensor> = {};
  for (let layer = 0; layer < layers; layer++) {
    for (const part of ['key', 'value']) {
      const shape = [rows, kvHeads, LENGTH, headDim];
      const data = new Float32Array(rows * kvHeads * LENGTH * headDim);
      cache[`${prefix}past_key_values.${layer}.${part}`] = new Tensor('float32', data, shape);
    }
  }
  return cache;
}

describe('a decoder rewritten for mixed passes', () => {
  test('computes each token that decodes, and the chunk, as the decoder does', async () => {
    const graph = decoder(DECODER_TINY);
    const mixed = await InferenceSession.create(mixedDecoder(graph));
    const plain = await InferenceSession.create(graph);
    const [first, second, chunk] = [[5], [99], [3, 17, 90, 4]];
    const { logits } = await mixed.run({
      input_ids: int64([...first, ...second, ...chunk], [1, 6]),
      group_sizes: int64([2, 4], [2]),
      logits_index: int64([0, 1, 5], [1, 3]),
      'decode.seqlens_k': int32([0, 0], [2]),
      'decode.total_sequence_length': int32([1], []),
      'chunk.seqlens_k': int32([3], [1]),
      'chunk.total_sequence_length': int32([4], []),
      ...emptyCache('decode.', 2),
      ...emptyCache('chunk.', 1),
    });
    expect(logits?.dims).toEqual([1, 3, vocab]);
    const got = numbers(logits);
    for (const [row, ids] of [first, second, chunk].entries()) {
      const input_ids = int64(ids, [1, ids.length]);
      const attention_mask = int64(new Array(ids.length).fill(1), [1, ids.length]);
      const alone = await plain.run({ input_ids, attention_mask, ...emptyCache('', 1) });
      const wanted = numbers(alone.logits).slice(-vocab);
      expect(got.slice(row * vocab, (row + 1) * vocab)).toEqual(wanted);
    }
  });

  test('needs no mask any more, and keeps its initializers', () => {
    const graph = decoder({ ...DECODER_TINY, logitsIndex: true });
    const { inputs, initializers } = readModel(mixedDecoder(graph));
    expect(inputs.map(({ name }) => name)).not.toContain('attention_mask');
    expect(inputs.map(({ name }) => name)).toContain('logits_index');
    const before = readModel(graph).initializers.map(({ name }) => name);
    const weights = before.filter((name) => name.startsWith('model.') || name.startsWith('lm_head'));
    expect(initializers.map(({ name }) => name)).toEqual(expect.arrayContaining(weights));
  });

  test.each<[string, () => Uint8Array]>([
    ['whose activations are quantised all by one scale', () => decoder({ ...DECODER_TINY, dtype: 'int8' })],
    ['whose attention is made of plain operators', () => concatDecoder(DECODER_TINY)],
    ['whose logits are not those of every position', lastOfAll],
    ['that mixes positions outside attention', averaging],
  ])('is refused for one %s', (_, graph) => {
    expect(() => mixedDecoder(graph())).toThrow(UnsupportedGraphError);
  });

  test('is no other error for what is no model', () => {
    expect(() => mixedDecoder(Uint8Array.of(7))).toThrow(/no protocol buffers message/);
    expect(() => mixedDecoder(new Uint8Array())).toThrow(/no graph/);
    expect(() => mixedDecoder(decoder(DECODER_TINY).subarray(0, 999))).toThrow(/end inside a field/);
  });
});

/** As onnxruntime-genai prunes a head: the last position alone. */
function lastOfAll(): Uint8Array {
  const g = new GraphBuilder({ name: 'pruned' });
  const { hidden, last } = attentionOver(g);
  g.node('Gather', [hidden, last], { attributes: { axis: { int: 1 } }, outputs: ['logits'] });
  g.output('logits', 'float32', [1, 'n', 32]);
  return g.toBytes();
}

function averaging(): Uint8Array {
  const g = new GraphBuilder({ name: 'averaging' });
  const { hidden, head, last } = attentionOver(g);
  const mean = g.node('ReduceMean', [hidden, last]);
  g.node('MatMul', [mean, head], { outputs: ['logits'] });
  g.output('logits', 'float32', [1, 'n', 32]);
  return g.toBytes();
}

/** A layer of attention and nothing else. */
function attentionOver(g: GraphBuilder): { hidden: string; head: string; last: string } {
  const ids = g.input('input_ids', 'int64', ['batch', 'sequence']);
  const lengths = [g.input('seqlens', 'int32', ['batch']), g.input('total', 'int32', [])];
  const table = g.initializer('table', 'float32', [8, 48], new Float32Array(8 * 48));
  const head = g.initializer('head', 'float32', [16, 32], new Float32Array(16 * 32));
  const past = ['key', 'value'].map((part) =>
    g.input(`past_key_values.0.${part}`, 'float32', ['batch', 1, 'past', 16]),
  );
  const embedded = g.node('Gather', [table, ids]);
  const hidden = g.node('GroupQueryAttention', [embedded, '', '', ...past, ...lengths], {
    domain: 'com.microsoft',
    attributes: { num_heads: { int: 1 }, kv_num_heads: { int: 1 } },
    outputs: ['hidden', 'present.0.key', 'present.0.value'],
  });
  for (const part of ['key', 'value']) g.output(`present.0.${part}`, 'float32', ['batch', 1, 'total', 16]);
  return { hidden, head, last: g.int64('last', [1]) };
}

test('tells where the weights lie that are not in the file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-external-'));
  const externalData = new ExternalDataFile(join(folder, 'weights.bin'));
  const weights = externalWeights(decoder({ ...DECODER_TINY, externalData }));
  externalData.close();
  rmSync(folder, { recursive: true });
  const [embedding, next] = weights;
  const place = { type: 'float32', location: 'weights.bin' };
  expect(embedding).toEqual({ ...place, name: 'model.embed_tokens.weight', shape: [vocab, 64], offset: 0 });
  expect(next).toMatchObject({ ...place, shape: [64, 128], offset: 4 * vocab * 64 });
  expect(externalWeights(decoder(DECODER_TINY))).toEqual([]);
});
