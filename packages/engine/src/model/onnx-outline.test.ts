import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DECODER_TINY, decoder, ExternalDataFile } from '@shoal/onnx-graph';
import { ShoalError } from '@shoal/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readOnnxOutline } from './onnx-outline.ts';

let directory: string;
let path: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'shoal-outline-'));
  path = join(directory, 'model.onnx');
});
afterAll(() => rm(directory, { recursive: true, force: true }));

describe('readOnnxOutline', () => {
  it('counts operators and weights, and finds those in other files', async () => {
    const externalData = new ExternalDataFile(join(directory, 'weights.bin'));
    await writeFile(path, decoder({ ...DECODER_TINY, dtype: 'q4', externalData }));
    externalData.close();
    const { operators, weightBytes, externalData: files } = readOnnxOutline(path);
    expect(operators.get('GroupQueryAttention')).toBe(DECODER_TINY.layers);
    expect(operators.get('MatMulNBits')).toBe(5 * DECODER_TINY.layers + 1);
    const { layers, hidden, heads, kvHeads, headDim, intermediate, vocab } = DECODER_TINY;
    const attention = hidden * (heads + 2 * kvHeads) * headDim + heads * headDim * hidden;
    const matrices = layers * (attention + 3 * hidden * intermediate) + hidden * vocab;
    expect(weightBytes.get('uint8')).toBe(matrices / 2);
    expect([...files.keys()]).toEqual(['weights.bin']);
    expect(files.get('weights.bin')).toBeGreaterThan(matrices / 2);
  });

  it('notices a file that ends early, wherever it does', async () => {
    const whole = decoder(DECODER_TINY);
    for (let length = 1; length < whole.byteLength; length += 2503) {
      await writeFile(path, whole.subarray(0, length));
      expect(() => readOnnxOutline(path), `${length} bytes`).toThrow(ShoalError);
    }
  });
});
