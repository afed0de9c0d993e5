import { GraphBuilder } from '@shoal/onnx-graph';
import { expect, test } from 'vitest';
import type { OrtBackend } from './backend.ts';
import { loadOrt } from './load-ort.ts';
import { SELF_CHECK_GRAPH, selfCheck } from './self-check.ts';

test('the C API is what is taken here, without a warning', async () => {
  const warnings: string[] = [];
  const ort = await loadOrt({ onWarning: (message) => warnings.push(message) });
  expect(ort.kind).toBe('capi');
  expect(warnings).toEqual([]);
});

test('a library that cannot be loaded falls back with one warning', async () => {
  const warnings: string[] = [];
  const ort = await loadOrt({ libraryPath: '/nowhere/libonnxruntime.so', onWarning: (text) => warnings.push(text) });
  expect(ort.kind).toBe('node-binding');
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toMatch(/could not be loaded from \/nowhere.*falling back to onnxruntime-node/);
});

test('without the fallback it is an error', async () => {
  await expect(loadOrt({ backend: 'capi', libraryPath: '/nowhere/libonnxruntime.so' })).rejects.toMatchObject({
    code: 'unavailable',
  });
});

test('a library that is not ONNX Runtime is an error too', async () => {
  await expect(loadOrt({ backend: 'capi', libraryPath: process.execPath })).rejects.toMatchObject({
    code: 'unavailable',
  });
});

test('the embedded graph is the one that the builder makes', () => {
  const g = new GraphBuilder({ name: 'self-check', opsets: { '': 21 } });
  const x = g.input('x', 'float32', ['rows', 2]);
  const w = g.initializer('w', 'float32', [2, 3], Float32Array.of(1, 2, 3, 4, 5, 6));
  const b = g.initializer('b', 'float32', [3], Float32Array.of(10, 20, 30));
  g.node('Add', [g.node('MatMul', [x, w], { outputs: ['xw'] }), b], { outputs: ['y'] });
  g.output('y', 'float32', ['rows', 3]);
  expect(Buffer.from(g.toBytes()).toString('base64')).toBe(SELF_CHECK_GRAPH);
});

test('a backend that computes nonsense fails the self-check', async () => {
  const ort = await loadOrt();
  const wrong: OrtBackend = {
    ...ort,
    kind: 'capi',
    version: '1.30.0',
    capabilities: ort.capabilities,
    createRunControl: () => ort.createRunControl(),
    terminate: () => {},
    createSession: async (model, options) => {
      const session = await ort.createSession(model, options);
      const createBinding = session.createBinding.bind(session);
      session.createBinding = () => {
        const binding = createBinding();
        binding.run = async () => {};
        return binding;
      };
      return session;
    },
    allocate: (type, shape) => ort.allocate(type, shape),
  };
  await expect(selfCheck(wrong)).rejects.toThrow(/failed its self-check: it computed 0,0,0,0,0,0/);
});
