import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { expect, test } from 'vitest';
import { DECODER_TINY, type DecoderOptions, decoder, Q4_BLOCK_SIZE, RMS_EPSILON, ROPE_THETA } from './decoder.ts';
import { ExternalDataFile } from './external-data.ts';
import { dequantizeQ4, quantizeQ4 } from './q4.ts';
import { randomWeights, type WeightSource } from './weights.ts';

const PROMPT = [3, 17, 90, 4, 127, 0, 55];

type Feeds = Record<string, Tensor>;

function feeds(ids: readonly number[], options: DecoderOptions, extra: Feeds = {}): Feeds {
  const kv: Feeds = {};
  for (let layer = 0; layer < options.layers; layer++) {
    for (const part of ['key', 'value']) {
      const shape = [1, options.kvHeads, 0, options.headDim];
      kv[`past_key_values.${layer}.${part}`] = new Tensor('float32', new Float32Array(0), shape);
    }
  }
  return {
    input_ids: new Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]),
    attention_mask: new Tensor('int64', new BigInt64Array(ids.length).fill(1n), [1, ids.length]),
    ...kv,
    ...extra,
  };
}

async function logitsOf(graph: Uint8Array | string, input: Feeds): Promise<Float32Array> {
  const session = await (typeof graph === 'string' ? InferenceSession.create(graph) : InferenceSession.create(graph));
  const { logits } = await session.run(input);
  return logits?.data as Float32Array;
}

function expectClose(got: Float32Array, wanted: Float32Array, tolerance: number): void {
  expect(got.length).toBe(wanted.length);
  let worst = 0;
  for (let i = 0; i < got.length; i++) worst = Math.max(worst, Math.abs((got[i] ?? Number.NaN) - (wanted[i] ?? 0)));
  expect(worst).toBeLessThan(tolerance);
}

test('the tiny decoder computes what plain arithmetic computes', async () => {
  const got = await logitsOf(decoder(DECODER_TINY), feeds(PROMPT, DECODER_TINY));
  expectClose(got, plainDecoder(PROMPT, DECODER_TINY, randomWeights(1)), 1e-4);
});

test('q4 computes with the weights its blocks stand for', async () => {
  const got = await logitsOf(decoder({ ...DECODER_TINY, dtype: 'q4' }), feeds(PROMPT, DECODER_TINY));
  const exact = randomWeights(1);
  const rounded: WeightSource = (name, shape, deviation) => {
    const values = exact(name, shape, deviation);
    const [k = 0, n = 0] = shape;
    if (name.includes('embed')) return values;
    return dequantizeQ4(quantizeQ4(values, k, n, Q4_BLOCK_SIZE), k, n, Q4_BLOCK_SIZE);
  };
  expectClose(got, plainDecoder(PROMPT, DECODER_TINY, rounded), 1e-4);
});

test('logits_index computes the asked positions alone', async () => {
  const all = await logitsOf(decoder(DECODER_TINY), feeds(PROMPT, DECODER_TINY));
  const logits_index = new Tensor('int64', BigInt64Array.of(6n, 2n), [1, 2]);
  const chosen = await logitsOf(
    decoder({ ...DECODER_TINY, logitsIndex: true }),
    feeds(PROMPT, DECODER_TINY, { logits_index }),
  );
  const { vocab } = DECODER_TINY;
  expectClose(chosen.slice(0, vocab), all.slice(6 * vocab, 7 * vocab), 1e-5);
  expectClose(chosen.slice(vocab), all.slice(2 * vocab, 3 * vocab), 1e-5);
});

test('external data and embedded weights give the same logits; another seed does not', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'decoder-'));
  try {
    const externalData = new ExternalDataFile(join(folder, 'model.onnx_data'));
    writeFileSync(join(folder, 'model.onnx'), decoder({ ...DECODER_TINY, externalData }));
    externalData.close();
    const embedded = await logitsOf(decoder(DECODER_TINY), feeds(PROMPT, DECODER_TINY));
    const external = await logitsOf(join(folder, 'model.onnx'), feeds(PROMPT, DECODER_TINY));
    const other = await logitsOf(decoder({ ...DECODER_TINY, seed: 2 }), feeds(PROMPT, DECODER_TINY));

    expect(external).toEqual(embedded);
    expect(other).not.toEqual(embedded);
    expect(statSync(join(folder, 'model.onnx')).size).toBeLessThan(30_000);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.each([
  [{ kvHeads: 3 }, /4 heads do not divide into 3/],
  [{ headDim: 24 }, /multiple of 16, got 24/],
  [{ dtype: 'q4' as const, intermediate: 100 }, /inner size 100 is not a multiple of the block size 32/],
])('an impossible shape is refused: %o', (change, message) => {
  expect(() => decoder({ ...DECODER_TINY, ...change })).toThrow(message);
});

/** The decoder of `decoder.ts` in double precision, one row, no cache: [positions × vocab]. */
function plainDecoder(ids: readonly number[], o: DecoderOptions, source: WeightSource): Float32Array {
  const { hidden, heads, kvHeads, headDim, intermediate, vocab } = o;
  const at = (array: ArrayLike<number>, i: number): number => array[i] ?? Number.NaN;
  const linear = (name: string, rows: number[][], k: number, n: number, deviation = 1 / Math.sqrt(k)): number[][] => {
    const w = source(`${name}.weight`, [k, n], deviation);
    return rows.map((row) =>
      Array.from({ length: n }, (_, j) => row.reduce((sum, x, i) => sum + x * at(w, i * n + j), 0)),
    );
  };
  const norm = (rows: number[][]): number[][] =>
    rows.map((row) => {
      const meanSquare = row.reduce((sum, x) => sum + x * x, 0) / row.length;
      return row.map((x) => x / Math.sqrt(meanSquare + RMS_EPSILON));
    });
  const add = (a: number[][], b: number[][]): number[][] => a.map((row, t) => row.map((x, i) => x + at(b[t] ?? [], i)));
  const head = (row: number[] | undefined, index: number): number[] =>
    (row ?? []).slice(index * headDim, (index + 1) * headDim);
  const rotate = (vector: number[], position: number): number[] =>
    vector.map((x, i) => {
      const half = headDim / 2;
      const angle = position * ROPE_THETA ** (-(i % half) / half);
      const partner = i < half ? -at(vector, i + half) : at(vector, i - half);
      return x * Math.cos(angle) + partner * Math.sin(angle);
    });
  const dot = (a: number[], b: number[]): number => a.reduce((sum, x, i) => sum + x * at(b, i), 0);
  const attend = (qkv: number[][], t: number, h: number): number[] => {
    const group = Math.floor(h / (heads / kvHeads));
    const query = rotate(head(qkv[t], h), t);
    const past = qkv.slice(0, t + 1);
    const scores = past.map((row, s) => dot(query, rotate(head(row, heads + group), s)) / Math.sqrt(headDim));
    const peak = Math.max(...scores);
    const weights = scores.map((score) => Math.exp(score - peak));
    const total = weights.reduce((sum, x) => sum + x, 0);
    return query.map((_, i) =>
      past.reduce((sum, row, s) => sum + (at(weights, s) / total) * at(head(row, heads + kvHeads + group), i), 0),
    );
  };
  const embedding = source('model.embed_tokens.weight', [vocab, hidden], 1);
  let residual = ids.map((id) => Array.from(embedding.subarray(id * hidden, (id + 1) * hidden)));
  for (let layer = 0; layer < o.layers; layer++) {
    const name = `model.layers.${layer}`;
    const qkv = linear(`${name}.self_attn.qkv_proj`, norm(residual), hidden, (heads + 2 * kvHeads) * headDim);
    const mixed = qkv.map((_, t) => Array.from({ length: heads }, (_, h) => attend(qkv, t, h)).flat());
    residual = add(residual, linear(`${name}.self_attn.o_proj`, mixed, heads * headDim, hidden));
    const normed = norm(residual);
    const gate = linear(`${name}.mlp.gate_proj`, normed, hidden, intermediate);
    const up = linear(`${name}.mlp.up_proj`, normed, hidden, intermediate);
    const inner = gate.map((row, t) => row.map((x, i) => (x / (1 + Math.exp(-x))) * at(up[t] ?? [], i)));
    residual = add(residual, linear(`${name}.mlp.down_proj`, inner, intermediate, hidden));
  }
  const logits = linear('lm_head', norm(residual), hidden, vocab, 2 / Math.sqrt(hidden));
  return Float32Array.from(logits.flat());
}
