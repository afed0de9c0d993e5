import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { expect, test } from 'vitest';
import { DECODER_TINY, type DecoderOptions, decoder, RMS_EPSILON, ROPE_THETA } from './decoder.ts';
import { concatDecoder } from './decoder-concat.ts';
import { Q4_BLOCK_SIZE } from './decoder-weights.ts';
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

/** The number whose half-precision bits are given; logits are neither subnormal nor infinite. */
function ofHalf(bits: number): number {
  return (bits & 0x8000 ? -1 : 1) * (1 + (bits & 0x3ff) / 1024) * 2 ** (((bits >> 10) & 0x1f) - 15);
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

/** Position ids, where a graph takes them. */
const positions = (ids: readonly number[]): Feeds => ({
  position_ids: new Tensor('int64', BigInt64Array.from(ids.keys(), BigInt), [1, ids.length]),
});

test('the form that Optimum exports computes the same, and its cache comes out longer', async () => {
  const session = await InferenceSession.create(concatDecoder(DECODER_TINY));
  const { vocab } = DECODER_TINY;
  const wanted = plainDecoder(PROMPT, DECODER_TINY, randomWeights(1));
  const first = PROMPT.slice(0, 4);
  const prefill = await session.run(feeds(first, DECODER_TINY, positions(first)));
  expectClose(prefill.logits?.data as Float32Array, wanted.slice(0, 4 * vocab), 1e-4);
  expect(prefill['present.1.value']?.dims).toEqual([1, 2, 4, 16]);
  // The rest behind it, with one hidden column between them.
  const hole = (tensor: Tensor | undefined): Tensor => {
    const values = new Float32Array(2 * 5 * 16);
    const given = (tensor?.data ?? new Float32Array()) as Float32Array;
    for (const head of [0, 1]) values.set(given.subarray(head * 64, (head + 1) * 64), head * 80);
    return new Tensor('float32', values, [1, 2, 5, 16]);
  };
  const rest = await session.run({
    input_ids: new Tensor('int64', BigInt64Array.from(PROMPT.slice(4), BigInt), [1, 3]),
    position_ids: new Tensor('int64', BigInt64Array.of(4n, 5n, 6n), [1, 3]),
    attention_mask: new Tensor('int64', BigInt64Array.of(1n, 1n, 1n, 1n, 0n, 1n, 1n, 1n), [1, 8]),
    ...Object.fromEntries(
      [0, 1].flatMap((layer) =>
        ['key', 'value'].map((part) => [`past_key_values.${layer}.${part}`, hole(prefill[`present.${layer}.${part}`])]),
      ),
    ),
  });
  expectClose(rest.logits?.data as Float32Array, wanted.slice(4 * vocab), 1e-4);
});

test('without position ids it counts from the length of the cache', async () => {
  const graph = concatDecoder({ ...DECODER_TINY, positionIds: false, kvHeads: 4 });
  const options = { ...DECODER_TINY, kvHeads: 4 };
  expectClose(await logitsOf(graph, feeds(PROMPT, options)), plainDecoder(PROMPT, options, randomWeights(1)), 1e-4);
});

test.each([
  ['decoder', decoder],
  ['concatDecoder', concatDecoder],
])('%s in half precision is close to the same in single precision', async (_, build) => {
  const extra = build === concatDecoder ? positions(PROMPT) : {};
  const exact = await logitsOf(build(DECODER_TINY), feeds(PROMPT, DECODER_TINY, extra));
  const session = await InferenceSession.create(build({ ...DECODER_TINY, dtype: 'fp16' }));
  const input = feeds(PROMPT, DECODER_TINY, extra);
  for (const name of Object.keys(input).filter((name) => name.startsWith('past'))) {
    input[name] = new Tensor('float16', new Uint16Array(0), [1, DECODER_TINY.kvHeads, 0, DECODER_TINY.headDim]);
  }
  const { logits } = await session.run(input);
  expect(logits?.type).toBe('float16');
  expectClose(Float32Array.from(logits?.data as Uint16Array, ofHalf), exact, 0.05);
});

test('int8 computes about what its weights stand for', async () => {
  const exact = await logitsOf(decoder(DECODER_TINY), feeds(PROMPT, DECODER_TINY));
  const rounded = await logitsOf(decoder({ ...DECODER_TINY, dtype: 'int8' }), feeds(PROMPT, DECODER_TINY));
  // The logits spread by 2.
  expectClose(rounded, exact, 0.7);
  expect(rounded).not.toEqual(exact);
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
