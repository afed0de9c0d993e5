import { expect, it } from 'vitest';
import type { Machine } from '../model-runner/machine.ts';
import { type NumericsSources, numericsFingerprint } from './fingerprint.ts';

const SOURCES: NumericsSources = {
  revision: 'abc',
  dtype: 'fp32',
  executionProvider: 'cpu',
  runtime: '1.30.0 capi',
  padsLoneRow: false,
  cachePath: 'in-place',
};
const MACHINE: Machine = {
  platform: 'linux/x64',
  gpus: ['NVIDIA H200'],
  nvidiaDriver: '550.54',
  vulkanDrivers: ['/usr/share/vulkan/icd.d/nvidia_icd.json'],
};

it('is the same for the same sources, whatever their order', async () => {
  const fingerprint = await numericsFingerprint(SOURCES, MACHINE);
  expect(fingerprint).toMatch(/^[0-9a-f]{12}$/);
  const reordered = Object.fromEntries(Object.entries(SOURCES).reverse()) as unknown as NumericsSources;
  expect(await numericsFingerprint(reordered, MACHINE)).toBe(fingerprint);
});

it.each<[string, Partial<NumericsSources>]>([
  ['the files', { revision: 'abd' }],
  ['the variant', { dtype: 'q4' }],
  ['the provider', { executionProvider: 'cuda' }],
  ['the runtime', { runtime: '1.31.0 capi' }],
  ['company for a lone row', { padsLoneRow: true }],
  ['how a run deals with the cache', { cachePath: 'concat padded' }],
])('follows %s', async (_, change) => {
  const fingerprint = await numericsFingerprint(SOURCES, MACHINE);
  expect(await numericsFingerprint({ ...SOURCES, ...change }, MACHINE)).not.toBe(fingerprint);
});

it.each<[string, Partial<Machine>]>([
  ['the GPU', { gpus: ['NVIDIA H100'] }],
  ['its driver', { nvidiaDriver: '560.28' }],
  ['the driver that compiles shaders', { vulkanDrivers: [] }],
])('follows %s where a GPU computes, and not where the processor does', async (_, change) => {
  const other = { ...MACHINE, ...change };
  const onGpu = { ...SOURCES, executionProvider: 'cuda' };
  expect(await numericsFingerprint(onGpu, other)).not.toBe(await numericsFingerprint(onGpu, MACHINE));
  expect(await numericsFingerprint(SOURCES, other)).toBe(await numericsFingerprint(SOURCES, MACHINE));
});

it('follows the platform', async () => {
  const other = { ...MACHINE, platform: 'linux/arm64' };
  expect(await numericsFingerprint(SOURCES, other)).not.toBe(await numericsFingerprint(SOURCES, MACHINE));
});
