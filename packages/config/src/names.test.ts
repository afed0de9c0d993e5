import { expect, test } from 'vitest';
import { editDistance } from './edit-distance.ts';
import { maskCredentials } from './mask.ts';
import { defaultModelName } from './model-name.ts';

test.each([
  ['', '', 0],
  ['abc', '', 3],
  ['abc', 'abc', 0],
  ['abc', 'acb', 1],
  ['kitten', 'sitting', 3],
  ['MAX_BATCH_SIZE', 'MAX_BACTHSIZE', 2],
])('the distance from %j to %j is %i', (from, to, distance) => {
  expect(editDistance(from, to)).toBe(distance);
  expect(editDistance(to, from)).toBe(distance);
});

test.each([
  ['redis://h:1/0', 'redis://h:1/0'],
  ['redis://:p@h', 'redis://***@h'],
  ['redis://u:p@ss@h', 'redis://***@h'],
  ['redis://h?password=p&db=1', 'redis://h?password=***&db=1'],
  ['u:p@h', '***@h'],
  ['org/name@main', 'org/name@main'],
])('%s is shown as %s', (value, shown) => {
  expect(maskCredentials(value)).toBe(shown);
});

test.each([
  ['./models/minnow', 'minnow'],
  ['./models/minnow/', 'minnow'],
  ['C:\\models\\minnow', 'minnow'],
  ['onnx-community/Qwen3-0.6B-ONNX@main', 'Qwen3-0.6B-ONNX'],
  ['/srv/my model', 'my-model'],
  ['..', 'model'],
])('%s is served as %s', (model, name) => {
  expect(defaultModelName(model)).toBe(name);
});
