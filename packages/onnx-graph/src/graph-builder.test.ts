import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { expect, test } from 'vitest';
import { ExternalDataFile } from './external-data.ts';
import { GraphBuilder } from './graph-builder.ts';

test('a built graph loads and computes', async () => {
  const g = new GraphBuilder({ name: 'affine' });
  const x = g.input('x', 'float32', ['n', 3]);
  const w = g.initializer('w', 'float32', [3, 2], Float32Array.of(1, 2, 3, 4, 5, 6));
  const product = g.node('MatMul', [x, w]);
  g.node('LeakyRelu', [product], { attributes: { alpha: { float: 0.5 } }, outputs: ['y'] });
  g.node('ReduceMax', [product, g.int64('axes', [-1])], { attributes: { keepdims: { int: 0 } }, outputs: ['max'] });
  g.output('y', 'float32', ['n', 2]);
  g.output('max', 'float32', ['n']);

  const session = await InferenceSession.create(g.toBytes());
  const result = await session.run({ x: new Tensor('float32', Float32Array.of(1, 0, 0, 0, -1, 1), [2, 3]) });

  expect(session.inputMetadata[0]).toMatchObject({ name: 'x', type: 'float32', shape: ['n', 3] });
  expect([...(result.y?.data ?? [])]).toEqual([1, 2, 2, 2]);
  expect([...(result.max?.data ?? [])]).toEqual([2, 2]);
});

test('negative integers, lists, text and other domains survive the wire', async () => {
  const g = new GraphBuilder({ name: 'attributes' });
  const x = g.input('x', 'float32', [2, 3]);
  g.node('Transpose', [x], { attributes: { perm: { ints: [1, 0] } }, outputs: ['transposed'] });
  g.node('Softmax', [x], { attributes: { axis: { int: -2 } }, outputs: ['columns'] });
  g.node('Gelu', [x], { attributes: { approximate: { string: 'tanh' } }, outputs: ['gelu'] });
  g.node('FusedMatMul', [x, x], {
    domain: 'com.microsoft',
    attributes: { transB: { int: 1 }, alpha: { float: 2 } },
    outputs: ['gram'],
  });
  g.output('transposed', 'float32', [3, 2]);
  g.output('columns', 'float32', [2, 3]);
  g.output('gelu', 'float32', [2, 3]);
  g.output('gram', 'float32', [2, 2]);

  const session = await InferenceSession.create(g.toBytes());
  const result = await session.run({ x: new Tensor('float32', Float32Array.of(1, 2, 3, 1, 2, 4), [2, 3]) });

  expect([...(result.transposed?.data ?? [])]).toEqual([1, 1, 2, 2, 3, 4]);
  expect(result.columns?.data[0]).toBeCloseTo(0.5, 6);
  expect(result.columns?.data[2]).toBeCloseTo(1 / (1 + Math.E), 6);
  expect(result.gelu?.data[0]).toBeCloseTo(0.841192, 5);
  expect([...(result.gram?.data ?? [])]).toEqual([28, 34, 34, 42]);
});

test('weights in an external file are found beside the model', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'onnx-graph-'));
  try {
    const file = new ExternalDataFile(join(folder, 'model.onnx_data'));
    const g = new GraphBuilder({ name: 'external' });
    const x = g.input('x', 'float32', [1000]);
    const first = g.initializer('first', 'float32', [1000], new Float32Array(1000).fill(2), file);
    const second = g.initializer('second', 'float32', [1000], new Float32Array(1000).fill(3), file);
    g.node('Add', [g.node('Mul', [x, first]), second], { outputs: ['y'] });
    g.output('y', 'float32', [1000]);
    file.close();
    const bytes = g.toBytes();
    writeFileSync(join(folder, 'model.onnx'), bytes);

    const session = await InferenceSession.create(join(folder, 'model.onnx'));
    const result = await session.run({ x: new Tensor('float32', new Float32Array(1000).fill(5), [1000]) });

    expect(bytes.byteLength).toBeLessThan(1000);
    expect(new Set(result.y?.data as Float32Array)).toEqual(new Set([13]));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.each<[string, (g: GraphBuilder) => void, RegExp]>([
  ['a name defined twice', (g) => [g.input('x', 'bool', []), g.input('x', 'bool', [])], /"x" is defined twice/],
  ['an unknown operand', (g) => g.node('Relu', ['nowhere']), /node Relu uses undefined value "nowhere"/],
  ['an output nobody computes', (g) => g.output('y', 'bool', []), /graph output uses undefined value "y"/],
  ['a domain without opset', (g) => g.node('Relu', [], { domain: 'ai.other' }), /no opset for domain "ai.other"/],
  [
    'data that does not fit',
    (g) => g.initializer('w', 'float32', [3, 2], new Float32Array(5)),
    /float32 \[3, 2\] takes 24 bytes, got 20/,
  ],
])('%s is refused while building', (_, build, message) => {
  expect(() => build(new GraphBuilder({ name: 'bad' }))).toThrow(message);
});
