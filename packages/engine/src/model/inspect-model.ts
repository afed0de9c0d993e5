import { stat } from 'node:fs/promises';
import { relative } from 'node:path';
import { loadOrt } from '@shoal/ort';
import { ShoalError } from '@shoal/protocol';
import type { EngineOptions } from '../engine-options.ts';
import { chooseProvider } from '../model-runner/choose-provider.ts';
import { cacheOverhead } from '../model-runner/create-runner.ts';
import { type LoadedGraph, loadGraph } from '../model-runner/load-graph.ts';
import { readMachine } from '../model-runner/machine.ts';
import type { CacheUpdate } from '../model-runner/probe-cache-update.ts';
import { requireVocabulary } from './load-model.ts';
import { type ModelConfig, readModelConfig } from './model-config.ts';
import { findGraph, type GraphFile, modelFiles } from './model-files.ts';
import { readTokenizer } from './read-tokenizer.ts';
import { kvBytesPerToken, planModelMemory, type ResolvedOptions, resolveOptions } from './resolve-options.ts';

/** What a model is, and what loading it with the given options would come to. What could not be read is absent. */
export interface ModelReport {
  directory: string;
  /** `llama`, `qwen3`, … */
  architecture?: string | undefined;
  layers?: number;
  heads?: number | undefined;
  kvHeads?: number;
  headSize?: number;
  vocabSize?: number;
  /** Most tokens of prompt and answer that the model was built for. */
  contextLength?: number;
  /** True when it has a chat template. */
  chat?: boolean;
  dtype: string;
  /** Bytes of weights by element type. */
  weights?: Record<string, number>;
  /** All files that are read, by their path in the directory. */
  files: { path: string; bytes: number }[];
  bytes: number;
  executionProvider?: string;
  /** What a run does with the cache: updates it where it lies, or copies it (slower). */
  cacheUpdate?: CacheUpdate;
  /** Element type of the cache. */
  cacheType?: string;
  /** The graph wants each token's position. */
  positionIds?: boolean;
  /** The graph computes logits only where it is told, which makes prefills cheaper. */
  logitsIndex?: boolean;
  kvBytesPerToken?: number;
  /** Most tokens of prompt and answer with these options. */
  maxModelLen?: number;
  /** Sequences that may run together. */
  slots?: number;
  /** Tokens, running and kept for reuse, that the KV budget holds. */
  budgetTokens?: number;
  budgetBytes?: number;
  /** Why it would be refused at load, one line each; empty for a model that can be loaded. */
  refusals: string[];
}

/** Reads a model and opens its graph, as loading does, but goes on after a fault to find the next. */
export async function inspectModel(given: EngineOptions): Promise<ModelReport> {
  const { modelDirectory: directory, dtype = 'fp32' } = given;
  const report: ModelReport = { directory, dtype, files: [], bytes: 0, refusals: [] };
  const graph = await attempt(report, () => findGraph(directory, dtype));
  if (graph !== undefined) await describeFiles(report, graph);
  const config = await attempt(report, () => readModelConfig(directory));
  if (config !== undefined) await describeConfig(report, config);
  const options = config && (await attempt(report, () => resolveOptions(given, config)));
  if (graph !== undefined && config !== undefined) await describeGraph(report, { graph, config, given, options });
  return report;
}

async function describeFiles(report: ModelReport, graph: GraphFile): Promise<void> {
  report.weights = Object.fromEntries(graph.outline.weightBytes);
  for (const file of modelFiles(report.directory, graph)) {
    const found = await stat(file).catch(() => undefined);
    if (found === undefined) continue;
    report.files.push({ path: relative(report.directory, file), bytes: found.size });
    report.bytes += found.size;
  }
}

async function describeConfig(report: ModelReport, config: ModelConfig): Promise<void> {
  report.architecture = config.architecture;
  report.heads = config.heads;
  report.vocabSize = config.vocabSize;
  report.contextLength = config.contextLength;
  const tokenizer = await attempt(report, () => readTokenizer(report.directory, config.vocabSize));
  if (tokenizer !== undefined) report.chat = tokenizer.chat;
}

interface Subject {
  graph: GraphFile;
  config: ModelConfig;
  given: EngineOptions;
  options: ResolvedOptions | undefined;
}

async function describeGraph(report: ModelReport, { graph, config, given, options }: Subject): Promise<void> {
  const ort = await loadOrt();
  const { executionProvider: asked = 'auto', deviceId = 0, intraOpThreads = 1 } = given;
  const machine = await readMachine();
  const provider = await attempt(report, () => chooseProvider({ asked, ort, machine, deviceId }));
  if (provider === undefined) return;
  report.executionProvider = provider.name;
  const loading = {
    graph: graph.path,
    names: config.names,
    executionProvider: provider.name,
    deviceId,
    intraOpThreads,
  };
  const loaded = await attempt(report, () => loadGraph(ort, loading));
  if (loaded === undefined) return;
  try {
    describeSignature(report, loaded);
    await attempt(report, () => requireVocabulary(graph.path, config, loaded.signature));
    if (options === undefined) return;
    report.maxModelLen = options.maxModelLen;
    const resolved = { ...options, executionProvider: provider.name };
    const overhead = cacheOverhead(loaded, provider);
    const plan = await attempt(report, () => planModelMemory(resolved, loaded.signature, overhead));
    if (plan === undefined) return;
    report.slots = plan.slots;
    report.budgetTokens = plan.budgetTokens;
    report.budgetBytes = plan.budgetTokens * kvBytesPerToken(loaded.signature);
  } finally {
    loaded.session.dispose();
  }
}

function describeSignature(report: ModelReport, { signature, cacheUpdate }: LoadedGraph): void {
  report.layers = signature.layers.length;
  report.kvHeads = signature.kvHeads;
  report.headSize = signature.headSize;
  report.cacheType = signature.cacheType;
  report.cacheUpdate = cacheUpdate;
  report.positionIds = signature.positionIds;
  report.logitsIndex = signature.logitsIndex;
  report.kvBytesPerToken = kvBytesPerToken(signature);
}

/** What `work` gives; a fault of the model or the options goes into the report instead. */
async function attempt<T>(report: ModelReport, work: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (cause) {
    if (!(cause instanceof ShoalError)) throw cause;
    report.refusals.push(cause.message);
    return undefined;
  }
}
