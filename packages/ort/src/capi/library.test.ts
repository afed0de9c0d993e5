import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { libraryPath } from './library.ts';

test.each([
  ['linux', 'x64'],
  ['linux', 'arm64'],
  ['darwin', 'arm64'],
  ['win32', 'x64'],
  ['win32', 'arm64'],
])('the library for %s %s is where onnxruntime-node ships it', (platform, arch) => {
  expect(existsSync(libraryPath(platform, arch))).toBe(true);
});

test('a platform without a library is told so', () => {
  expect(() => libraryPath('aix', 'ppc64')).toThrow(/no library for aix/);
});
