import { expect, test } from 'vitest';
import { nodeSessionOptions } from './node-session-options.ts';

test('a device is given to onnxruntime-node by its own name, as a number', () => {
  const executionProviders = [
    { name: 'tensorrt', options: { device_id: '1', trt_fp16_enable: '1' } },
    { name: 'cuda', options: { device_id: '1' } },
    { name: 'cpu' },
  ];
  expect(nodeSessionOptions({ executionProviders }).executionProviders).toEqual([
    { name: 'tensorrt', deviceId: 1, trt_fp16_enable: '1' },
    { name: 'cuda', deviceId: 1 },
    { name: 'cpu' },
  ]);
});
