import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { OrtError } from '../ort-error.ts';

/** File name of the shared library inside onnxruntime-node, by `process.platform`. */
const LIBRARY_NAMES: Readonly<Record<string, string>> = {
  linux: 'libonnxruntime.so.1',
  darwin: 'libonnxruntime.1.dylib',
  win32: 'onnxruntime.dll',
};

/** Path of the library that onnxruntime-node itself loads, so that both share one copy of its code. */
export function libraryPath(platform: string = process.platform, arch: string = process.arch): string {
  const name = LIBRARY_NAMES[platform];
  if (name === undefined) throw new OrtError('unavailable', `onnxruntime-node ships no library for ${platform}`);
  const packageJson = createRequire(import.meta.url).resolve('onnxruntime-node/package.json');
  return join(dirname(packageJson), 'bin', 'napi-v6', platform, arch, name);
}
