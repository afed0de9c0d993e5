import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import type { Machine } from '../model-runner/machine.ts';

/** Everything that decides which bits a model computes, besides its input. */
export interface NumericsSources {
  /** Content hash of the model's files. */
  revision: string;
  dtype: string;
  executionProvider: string;
  /** ONNX Runtime's version and the way it is reached. */
  runtime: string;
  /** Whether a lone row is given company, see `ModelRunner.padsLoneRow`. */
  padsLoneRow: boolean;
  /** How a run deals with the cache, see `TunableRunner`. */
  cachePath: string;
}

/** 12 hex digits: two engines with the same ones give the same bits, as far as the probes at load time show. */
export async function numericsFingerprint(sources: NumericsSources, machine: Machine): Promise<string> {
  const hardware = [await processorFeatures(), ...graphics(sources.executionProvider, machine)];
  return createHash('sha256')
    .update(JSON.stringify([Object.entries(sources).sort(), machine.platform, hardware]))
    .digest('hex')
    .slice(0, 12);
}

/** What else computes: on a GPU its model and its driver, which compiles the kernels. */
function graphics(executionProvider: string, { gpus, nvidiaDriver, vulkanDrivers }: Machine): unknown[] {
  return executionProvider === 'cpu' ? [] : [gpus, nvidiaDriver ?? '', vulkanDrivers];
}

/** Instruction sets by which ONNX Runtime's CPU kernels differ. */
const FEATURES = /^(avx|fma|f16c|amx|sse4|ssse3|asimd|sve|bf16|i8mm)/;

async function processorFeatures(): Promise<string[]> {
  const text = await readFile('/proc/cpuinfo', 'utf8').catch(() => '');
  const flags = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(text)?.[1];
  // Where the system does not tell, the model of the processor stands for what it can do.
  if (flags === undefined) return [cpus()[0]?.model ?? 'unknown'];
  return flags
    .split(/\s+/)
    .filter((flag) => FEATURES.test(flag))
    .sort();
}
