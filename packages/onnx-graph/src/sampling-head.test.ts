import { InferenceSession, Tensor } from 'onnxruntime-node';
import { expect, test } from 'vitest';
import { samplingHead } from './sampling-head.ts';
import { randomWeights } from './weights.ts';

const B = 3;
const V = 500;
const K = 8;

interface Candidates {
  values: number[][];
  indices: number[][];
  logsumexp: number[];
}

/** The same in plain arithmetic. */
function reference(logits: Float32Array, temperature: readonly number[]): Candidates {
  const rows = temperature.map((_, b) => [...logits.subarray(b * V, (b + 1) * V)]);
  const order = rows.map((row) => row.map((_, i) => i).sort((i, j) => (row[j] ?? 0) - (row[i] ?? 0) || i - j));
  return {
    values: rows.map((row, b) => (order[b] ?? []).slice(0, K).map((i) => row[i] ?? Number.NaN)),
    indices: order.map((ids) => ids.slice(0, K)),
    logsumexp: rows.map((row, b) => Math.log(row.reduce((sum, x) => sum + Math.exp(x / (temperature[b] ?? 1)), 0))),
  };
}

async function run(graph: Uint8Array, feeds: Record<string, Tensor>): Promise<Candidates> {
  const session = await InferenceSession.create(graph);
  const { top_values, top_indices, logsumexp } = await session.run(feeds);
  const split = (tensor: Tensor | undefined): number[][] =>
    Array.from({ length: B }, (_, b) => Array.from(tensor?.data.slice(b * K, (b + 1) * K) as Float32Array, Number));
  return {
    values: split(top_values),
    indices: split(top_indices),
    logsumexp: Array.from(logsumexp?.data as Float32Array),
  };
}

function expectSame(got: Candidates, wanted: Candidates): void {
  expect(got.values).toEqual(wanted.values);
  expect(got.indices).toEqual(wanted.indices);
  for (const [b, value] of wanted.logsumexp.entries()) expect(got.logsumexp[b]).toBeCloseTo(value, 4);
}

const temperature = [1, 0.5, 2];
const random = (): Float32Array => randomWeights(7)('logits', [B, V], 3);
const tempered = new Tensor('float32', Float32Array.from(temperature), [B]);

test('top-k, their ids and the tempered log-sum-exp of each row', async () => {
  const logits = random();
  const graph = samplingHead({ vocabSize: V, topK: K, sparse: false });
  const got = await run(graph, { logits: new Tensor('float32', logits, [B, V]), temperature: tempered });
  expectSame(got, reference(logits, temperature));
});

test('sparse additions enter before the top-k', async () => {
  const logits = random();
  const [best = 0] = reference(logits, temperature).indices[0] ?? [];
  // A mask on row 0's best token, a bias that lifts token 499 of row 2 to the top.
  const indices = BigInt64Array.of(0n, BigInt(best), 2n, 499n);
  const values = Float32Array.of(-1e9, 50);
  const adjusted = logits.slice();
  adjusted[best] = Math.fround((adjusted[best] ?? 0) - 1e9);
  adjusted[2 * V + 499] = Math.fround((adjusted[2 * V + 499] ?? 0) + 50);

  const got = await run(samplingHead({ vocabSize: V, topK: K }), {
    logits: new Tensor('float32', logits, [B, V]),
    temperature: tempered,
    indices: new Tensor('int64', indices, [2, 2]),
    values: new Tensor('float32', values, [2]),
  });

  expectSame(got, reference(adjusted, temperature));
  expect(got.indices[0]).not.toContain(best);
  expect(got.indices[2]?.[0]).toBe(499);
});

test('no additions at all', async () => {
  const logits = random();
  const got = await run(samplingHead({ vocabSize: V, topK: K }), {
    logits: new Tensor('float32', logits, [B, V]),
    temperature: tempered,
    indices: new Tensor('int64', new BigInt64Array(0), [0, 2]),
    values: new Tensor('float32', new Float32Array(0), [0]),
  });
  expectSame(got, reference(logits, temperature));
});

test('equal values come lower id first, and very large logits do not overflow', async () => {
  const logits = new Float32Array(B * V).fill(300);
  const got = await run(samplingHead({ vocabSize: V, topK: K, sparse: false }), {
    logits: new Tensor('float32', logits, [B, V]),
    temperature: tempered,
  });
  expect(got.indices).toEqual(Array(B).fill([0, 1, 2, 3, 4, 5, 6, 7]));
  for (const [b, t] of temperature.entries()) expect(got.logsumexp[b]).toBeCloseTo(300 / t + Math.log(V), 2);
});

test('float16 logits are taken as they are', async () => {
  const half = new Uint16Array(B * V).fill(0x3c00); // 1.0
  half[5] = 0x4400; // 4.0
  const got = await run(samplingHead({ vocabSize: V, topK: K, dtype: 'float16', sparse: false }), {
    logits: new Tensor('float16', half, [B, V]),
    temperature: tempered,
  });
  expect(got.values[0]?.slice(0, 2)).toEqual([4, 1]);
  expect(got.indices[0]?.[0]).toBe(5);
});

test('a top-k outside the vocabulary is refused', () => {
  expect(() => samplingHead({ vocabSize: 10, topK: 11 })).toThrow(/topK must be 1…10, got 11/);
});
