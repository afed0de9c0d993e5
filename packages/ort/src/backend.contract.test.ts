import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GraphBuilder } from '@shoal/onnx-graph';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { OrtBackend, OrtSession } from './backend.ts';
import type { ElementType } from './element-type.ts';
import { loadOrt } from './load-ort.ts';
import { OrtError } from './ort-error.ts';

/** y = x · 2 + 1 on [n, 4] float32, and its int64 row sums. */
function affineGraph(): Uint8Array {
  const g = new GraphBuilder({ name: 'affine' });
  const x = g.input('x', 'float32', ['n', 4]);
  const two = g.initializer('two', 'float32', [], Float32Array.of(2));
  const one = g.initializer('one', 'float32', [], Float32Array.of(1));
  g.node('Add', [g.node('Mul', [x, two]), one], { outputs: ['y'] });
  const sums = g.node('ReduceSum', ['y', g.int64('axes', [1])], { attributes: { keepdims: { int: 0 } } });
  g.node('Cast', [sums], { attributes: { to: { int: 7 } }, outputs: ['sums'] });
  g.output('y', 'float32', ['n', 4]);
  g.output('sums', 'int64', ['n']);
  return g.toBytes();
}

function codeOf(use: () => unknown): string {
  try {
    use();
  } catch (error) {
    return error instanceof OrtError ? error.code : `not an OrtError: ${error}`;
  }
  return 'nothing thrown';
}

async function codeOfAsync(use: () => Promise<unknown>): Promise<string> {
  try {
    await use();
  } catch (error) {
    return error instanceof OrtError ? error.code : `not an OrtError: ${error}`;
  }
  return 'nothing thrown';
}

describe.each(['capi', 'node-binding'] as const)('the %s backend', (kind) => {
  let ort: OrtBackend;
  let session: OrtSession;

  beforeAll(async () => {
    ort = await loadOrt({ backend: kind });
    session = await ort.createSession(affineGraph(), { intraOpThreads: 1 });
  });
  afterAll(() => session.dispose());

  test('says what it is', () => {
    expect(ort.kind).toBe(kind);
    expect(ort.version).toMatch(/^1\.\d+\.\d+$/);
  });

  test('tells names, types and shapes, named dimensions included', () => {
    expect(session.inputs).toEqual([{ name: 'x', type: 'float32', shape: ['n', 4] }]);
    expect(session.outputs).toEqual([
      { name: 'y', type: 'float32', shape: ['n', 4] },
      { name: 'sums', type: 'int64', shape: ['n'] },
    ]);
  });

  test.each<[ElementType, number | bigint]>([
    ['float32', 1.5],
    ['float64', 1.5],
    ['float16', 0x3e00],
    ['int8', -3],
    ['int16', -300],
    ['int32', -70_000],
    ['int64', -(2n ** 40n)],
    ['uint8', 200],
    ['uint16', 60_000],
    ['uint32', 2 ** 32 - 1],
    ['uint64', 2n ** 63n],
    ['bool', 1],
  ])('a %s tensor is allocated as zeros, written in place and passed through a model', async (type, value) => {
    const g = new GraphBuilder({ name: 'identity' });
    // The builder knows fewer types than tensors have; shapes and the operator do not depend on it.
    const known = ['float32', 'float16', 'int8', 'int32', 'int64', 'uint8', 'bool'] as const;
    const graphType = known.find((one) => one === type);
    using tensor = ort.allocate(type, [2, 3]);
    const data: { [index: number]: number | bigint; length: number } = tensor.data;

    expect(Array.from(tensor.data, Number)).toEqual([0, 0, 0, 0, 0, 0]);
    data[4] = value;
    expect(tensor.data[4]).toBe(value);
    expect(tensor.data).toBe(tensor.data);
    if (graphType === undefined) return;
    g.node('Identity', [g.input('x', graphType, [2, 3])], { outputs: ['y'] });
    g.output('y', graphType, [2, 3]);
    using identity = await ort.createSession(g.toBytes());
    const { y } = await identity.run({ x: tensor });
    expect(y?.type).toBe(type);
    expect(y?.shape).toEqual([2, 3]);
    expect(y?.data[4]).toBe(value);
    y?.dispose();
  });

  test('elements are copied between tensors, views and overlapping ranges', () => {
    using from = ort.allocate('float32', [2, 4]);
    from.data.set([0, 1, 2, 3, 4, 5, 6, 7]);
    using second = from.view(4, [4]);
    using to = ort.allocate('float32', [3, 2]);

    to.copyFrom(second, 1, 2, 3);
    expect(Array.from(to.data)).toEqual([0, 0, 5, 6, 7, 0]);
    from.copyFrom(from, 0, 1, 6);
    expect(Array.from(from.data)).toEqual([0, 0, 1, 2, 3, 4, 5, 7]);
    expect(codeOf(() => to.copyFrom(second, 2, 0, 3))).toBe('invalid_argument');
    expect(codeOf(() => to.copyFrom(second, 0, 4, 3))).toBe('invalid_argument');
    using ids = ort.allocate('int64', [4]);
    expect(codeOf(() => ids.copyFrom(from, 0, 0, 1))).toBe('invalid_argument');
    from.dispose();
    expect(codeOf(() => to.copyFrom(second, 0, 0, 1))).toBe('disposed');
  });

  test('a bound run writes outputs in place, again and again', async () => {
    using x = ort.allocate('float32', [2, 4]);
    using y = ort.allocate('float32', [2, 4]);
    using binding = session.createBinding();
    binding.bindInput('x', x);
    binding.bindOutput('y', y);
    const seen = y.data;
    for (let step = 0; step < 3; step++) {
      x.data.fill(step);
      await binding.run();
      expect(Array.from(seen)).toEqual(new Array(8).fill(2 * step + 1));
    }
  });

  test('binding again replaces the tensor, of another shape too', async () => {
    using slab = ort.allocate('float32', [4, 4]);
    using out = ort.allocate('float32', [4, 4]);
    slab.data.set(Array.from({ length: 16 }, (_, i) => i));
    using binding = session.createBinding();
    for (const [first, rows] of [
      [0, 4],
      [1, 2],
      [3, 1],
    ] as const) {
      out.data.fill(-1);
      using x = slab.view(first * 4, [rows, 4]);
      using y = out.view(0, [rows, 4]);
      binding.bindInput('x', x);
      binding.bindOutput('y', y);
      await binding.run();
      const wanted = Array.from({ length: rows * 4 }, (_, i) => 2 * (first * 4 + i) + 1);
      expect(Array.from(out.data.subarray(0, rows * 4))).toEqual(wanted);
      expect(Array.from(out.data.subarray(rows * 4))).toEqual(new Array(16 - rows * 4).fill(-1));
    }
  });

  test('an output bound without a tensor is made anew by each run', async () => {
    using x = ort.allocate('float32', [3, 4]);
    using y = ort.allocate('float32', [3, 4]);
    using binding = session.createBinding();
    binding.bindInput('x', x);
    binding.bindOutput('sums');
    binding.bindOutput('y', y);
    x.data.fill(1);
    await binding.run();
    const first = binding.output('sums');
    x.data.fill(2);
    await binding.run();
    const second = binding.output('sums');
    expect(first).toMatchObject({ type: 'int64', shape: [3] });
    expect(first.data).toEqual(BigInt64Array.of(12n, 12n, 12n));
    expect(second.data).toEqual(BigInt64Array.of(20n, 20n, 20n));
    expect(codeOf(() => binding.output('sums'))).toBe('invalid_argument');
    expect(codeOf(() => binding.output('y'))).toBe('invalid_argument');
    first.dispose();
    second.dispose();
  });

  test('run computes the asked outputs alone', async () => {
    using x = ort.allocate('float32', [1, 4]);
    const result = await session.run({ x }, ['sums']);
    expect(Object.keys(result)).toEqual(['sums']);
    expect(result.sums?.data).toEqual(BigInt64Array.of(4n));
    result.sums?.dispose();
  });

  test('empty and scalar tensors', async () => {
    using empty = ort.allocate('float32', [0, 4]);
    const { y } = await session.run({ x: empty }, ['y']);
    expect(empty.byteLength).toBe(0);
    expect(y?.shape).toEqual([0, 4]);
    expect(y?.data).toHaveLength(0);
    y?.dispose();
    using scalar = ort.allocate('int64', []);
    expect(scalar.data).toHaveLength(1);
  });

  test('views share memory, nest, and end with what they view', () => {
    const slab = ort.allocate('int32', [4, 3]);
    const rows = slab.view(3, [2, 3]);
    const row = rows.view(3, [3]);
    row.data[0] = 7;
    expect(slab.data[6]).toBe(7);
    rows.dispose();
    expect(row.data[0]).toBe(7);
    slab.dispose();
    expect(row.disposed).toBe(true);
    expect(codeOf(() => row.data)).toBe('disposed');
  });

  test.each([
    ['negative', -1, [1]],
    ['too long', 10, [3]],
    ['fractional', 0.5, [1]],
    ['of a negative size', 0, [-1]],
  ])('a view that is %s is refused', (_, offset, shape) => {
    using slab = ort.allocate('int32', [4, 3]);
    expect(codeOf(() => slab.view(offset, shape))).toBe('invalid_argument');
    expect(codeOf(() => slab.adviseFree(offset, shape[0]))).toBe('invalid_argument');
  });

  test('use after dispose throws, a second dispose does not', async () => {
    const tensor = ort.allocate('float32', [1, 4]);
    const other = await ort.createSession(affineGraph());
    const binding = other.createBinding();
    const control = ort.createRunControl();
    binding.bindInput('x', tensor);
    binding.bindOutput('sums');
    for (const _ of [1, 2]) tensor.dispose();

    expect(codeOf(() => tensor.data)).toBe('disposed');
    expect(codeOf(() => tensor.view(0, [1]))).toBe('disposed');
    expect(codeOf(() => tensor.adviseFree())).toBe('disposed');
    expect(codeOf(() => binding.bindInput('x', tensor))).toBe('disposed');
    expect(await codeOfAsync(() => binding.run())).toBe('disposed');
    for (const _ of [1, 2]) other.dispose();
    expect(codeOf(() => other.createBinding())).toBe('disposed');
    expect(await codeOfAsync(() => binding.run())).toBe('disposed');
    for (const _ of [1, 2]) binding.dispose();
    for (const _ of [1, 2]) control.dispose();
    expect(codeOf(() => control.terminate())).toBe('disposed');
  });

  test('a binding ends with its session', async () => {
    using x = ort.allocate('float32', [1, 4]);
    const other = await ort.createSession(affineGraph());
    const binding = other.createBinding();
    binding.bindInput('x', x);
    binding.bindOutput('sums');
    await binding.run();
    other.dispose();
    expect(await codeOfAsync(() => binding.run())).toBe('disposed');
    expect(codeOf(() => binding.bindInput('x', x))).toBe('disposed');
    expect(codeOf(() => binding.output('sums'))).toBe('disposed');
  });

  test('a control refuses runs once terminated, until it is reset', async () => {
    using x = ort.allocate('float32', [1, 4]);
    using control = ort.createRunControl();
    control.terminate();
    expect(await codeOfAsync(() => session.run({ x }, ['y'], { control }))).toBe('terminated');
    control.reset();
    const { y } = await session.run({ x }, ['y'], { control });
    expect(y?.data).toEqual(Float32Array.of(1, 1, 1, 1));
    y?.dispose();
  });

  test('names the model does not have are refused when they are bound', () => {
    using x = ort.allocate('float32', [1, 4]);
    using binding = session.createBinding();
    expect(() => binding.bindInput('z', x)).toThrow(/no input "z"/);
    expect(() => binding.bindOutput('x')).toThrow(/no output "x"/);
  });

  test('a tensor of another type or shape fails the run with the runtime’s words', async () => {
    using ints = ort.allocate('int32', [1, 4]);
    using wide = ort.allocate('float32', [1, 5]);
    await expect(session.run({ x: ints })).rejects.toThrow(/unexpected input data type/i);
    await expect(session.run({ x: wide })).rejects.toThrow(/Got: 5 Expected: 4/);
  });

  test('models that cannot be loaded say why', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ort-'));
    try {
      const nonsense = join(folder, 'nonsense.onnx');
      writeFileSync(nonsense, 'this is not a model');
      expect(await codeOfAsync(() => ort.createSession(join(folder, 'none.onnx')))).toBe('no_such_file');
      expect(await codeOfAsync(() => ort.createSession(nonsense))).toBe('invalid_protobuf');
      const g = new GraphBuilder({ name: 'unknown-operator' });
      g.node('NoSuchOperator', [g.input('x', 'float32', [1])], { outputs: ['y'] });
      g.output('y', 'float32', [1]);
      await expect(ort.createSession(g.toBytes())).rejects.toThrow(/NoSuchOperator/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('every session option is taken', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ort-'));
    try {
      const path = join(folder, 'model.onnx');
      writeFileSync(path, affineGraph());
      using tuned = await ort.createSession(path, {
        executionProviders: [{ name: 'cpu' }],
        intraOpThreads: 2,
        interOpThreads: 1,
        spinning: false,
        graphOptimization: 'extended',
        executionMode: 'sequential',
        memoryPattern: false,
        cpuArena: false,
        freeDimensions: { n: 2 },
        logId: 'test',
        logSeverity: 4,
        optimizedModelPath: join(folder, 'optimized.onnx'),
        config: { 'session.set_denormal_as_zero': '1' },
      });
      // onnxruntime-node 1.30 does not hand free dimensions on; session-options.ts says so.
      expect(tuned.inputs[0]?.shape).toEqual([kind === 'capi' ? 2 : 'n', 4]);
      using x = ort.allocate('float32', [2, 4]);
      const { y } = await tuned.run({ x }, ['y']);
      expect(y?.data[0]).toBe(1);
      y?.dispose();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('an execution provider that is not there is refused', async () => {
    const options = { executionProviders: [{ name: 'nowhere' }] };
    await expect(ort.createSession(affineGraph(), options)).rejects.toThrow(OrtError);
  });

  test('a tensor of the provider’s own allocator is like any other', async () => {
    using x = session.allocate('float32', [2, 4]);
    using y = session.allocate('float32', [2, 4], { name: 'Cpu', deviceId: 0 });
    using binding = session.createBinding();
    x.data.fill(3);
    binding.bindInput('x', x);
    binding.bindOutput('y', y);
    await binding.run();
    expect(y.location).toEqual({ name: 'Cpu', deviceId: 0 });
    expect(Array.from(y.data)).toEqual(new Array(8).fill(7));
  });

  test('a tensor of another backend is refused', async () => {
    const other = await loadOrt({ backend: kind === 'capi' ? 'node-binding' : 'capi' });
    using foreign = other.allocate('float32', [1, 4]);
    expect(await codeOfAsync(() => session.run({ x: foreign }))).toBe('invalid_argument');
  });
});
