import { InferenceSession, Tensor } from 'onnxruntime-node';
import { expect, test } from 'vitest';
import { copyGraph } from './copy-graph.ts';

test('each tensor arrives, whatever its shape', async () => {
  const session = await InferenceSession.create(copyGraph({ count: 2, dtype: 'float32' }));
  const result = await session.run({
    'from.0': new Tensor('float32', Float32Array.of(1, 2, 3, 4), [1, 2, 1, 2]),
    'from.1': new Tensor('float32', Float32Array.of(5), [1, 1, 1, 1]),
  });
  expect(result['to.0']?.data).toEqual(Float32Array.of(1, 2, 3, 4));
  expect(result['to.1']?.data).toEqual(Float32Array.of(5));
});
