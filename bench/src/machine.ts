import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { LlamaCpp } from './contestants/llama.ts';
import type { Report } from './report.ts';

/** Where a report was made: a figure without its machine says nothing. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly system: string;
  readonly node: string;
  /** Versions of what was measured. */
  readonly versions: Readonly<Record<string, string>>;
  /** One-minute load average before the run: well above 0 means that others were computing. */
  readonly loadBefore: number;
}

export function describeMachine(bench: Report['bench'] | 'serve'): Machine {
  const [first] = cpus();
  const llama = bench === 'engine' || bench === 'serve' ? LlamaCpp.version() : undefined;
  return {
    cpu: cpuModel() ?? first?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${release()} ${process.arch}`,
    node: process.versions.node,
    versions: {
      ...Object.fromEntries(MEASURED[bench].map((name) => [name, versionOf(name)])),
      ...(llama !== undefined && { 'node-llama-cpp': llama }),
    },
    loadBefore: Math.round((loadavg()[0] ?? 0) * 100) / 100,
  };
}

const MEASURED: Readonly<Record<Report['bench'] | 'serve', readonly string[]>> = {
  engine: ['onnxruntime-node', '@huggingface/transformers'],
  queue: ['bullmq', 'ioredis'],
  api: ['fastify', 'bullmq', 'zod'],
  serve: ['onnxruntime-node', '@huggingface/transformers', 'fastify', 'bullmq', 'ioredis'],
};

/** From the manifest above the package's entry: not every package lets its manifest be imported. */
function versionOf(name: string): string {
  let folder = dirname(createRequire(import.meta.url).resolve(name));
  while (basename(folder) !== basename(name)) folder = dirname(folder);
  return (JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string }).version;
}

/** Virtual machines often hide the model's name from Node; family and model still tell the generation. */
function cpuModel(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  const text = readFileSync('/proc/cpuinfo', 'utf8');
  const field = (name: string): string => new RegExp(`^${name}\\s*: (.*)$`, 'm').exec(text)?.[1] ?? '?';
  return `${field('model name')} (family ${field('cpu family')}, model ${field('model')})`;
}

/** Whether something else ran before a measurement began; figures of as many threads as cores say little then. */
export function isBusy({ loadBefore, cores }: Pick<Machine, 'loadBefore' | 'cores'>): boolean {
  return loadBefore > cores / 2;
}
