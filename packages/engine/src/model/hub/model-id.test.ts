import { describe, expect, it } from 'vitest';
import { parseModelId } from './model-id.ts';

const COMMIT = 'c0ffee0000000000000000000000000000000001';

describe('parseModelId', () => {
  it.each([
    ['org/name', { repo: 'org/name', folder: '', revision: 'main', pinned: false }],
    ['onnx-community/Qwen3-0.6B-ONNX@v1.0', { repo: 'onnx-community/Qwen3-0.6B-ONNX', revision: 'v1.0' }],
    ['org/name@refs/pr/3', { repo: 'org/name', folder: '', revision: 'refs/pr/3' }],
    ['org/name/cpu/int4', { repo: 'org/name', folder: 'cpu/int4', revision: 'main' }],
    [`org/name/cpu@${COMMIT}`, { repo: 'org/name', folder: 'cpu', revision: COMMIT, pinned: true }],
  ])('%s', (text, id) => {
    expect(parseModelId(text)).toMatchObject(id);
  });

  it.each([
    'name',
    './models/minnow',
    '/models/minnow',
    '../org/name',
    'org/..',
    'org/name/../../etc',
    'org/name@../x',
    'org--x/name',
    'org/name@',
    'org\\name',
    'https://huggingface.co/org/name',
    'org/name@a@b',
    '',
  ])('%j is no hub id', (text) => {
    expect(parseModelId(text)).toBeUndefined();
  });
});
