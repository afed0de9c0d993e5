import { loadOrt } from '@shoal/ort';
import { ContinuousScheduler } from '../continuous-scheduler.ts';
import type { EngineParts } from '../engine.ts';
import type { EngineOptions } from '../engine-options.ts';
import type { MemoryPlan } from '../kv-cache/memory-plan.ts';
import { attentionTokens, chooseAttention } from '../model-runner/attention-scratch.ts';
import { chooseProvider } from '../model-runner/choose-provider.ts';
import { cacheOverhead, createRunner } from '../model-runner/create-runner.ts';
import type { GraphSignature } from '../model-runner/graph-signature.ts';
import { loadGraph } from '../model-runner/load-graph.ts';
import { readMachine } from '../model-runner/machine.ts';
import { settleMixed } from '../model-runner/mixed/probe-mixed.ts';
import { settleInvariance } from '../model-runner/settle-invariance.ts';
import type { Scheduler, SchedulerLimits } from '../scheduler.ts';
import { StaticScheduler } from '../static-scheduler.ts';
import { numericsFingerprint } from './fingerprint.ts';
import { type ModelConfig, readModelConfig } from './model-config.ts';
import { findGraph, hashModel, modelFiles } from './model-files.ts';
import { modelFault } from './read-json.ts';
import { readTokenizer } from './read-tokenizer.ts';
import { planModelMemory, type ResolvedOptions, resolveOptions } from './resolve-options.ts';

/** Builds an engine's parts from a model directory. Every fault is one line that names the file and the remedy. */
export async function loadModel(given: EngineOptions): Promise<EngineParts> {
  const directory = given.modelDirectory;
  const graph = await findGraph(directory, given.dtype ?? 'fp32');
  const config = await readModelConfig(directory);
  const tokenizer = await readTokenizer(directory, config.vocabSize);
  const ort = await loadOrt();
  const machine = await readMachine();
  const { executionProvider: asked = 'auto', deviceId = 0 } = given;
  const provider = await chooseProvider({ asked, ort, machine, deviceId });
  const options = { ...resolveOptions(given, config), executionProvider: provider.name, deviceId };
  const attention = chooseAttention(config.heads, options);
  const mixed = mayMix(options);
  const loaded = await loadGraph(ort, { graph: graph.path, names: config.names, attention, mixed, ...options });
  const { session, signature } = loaded;
  try {
    requireVocabulary(graph.path, config, signature);
    const memory = planModelMemory(options, signature, cacheOverhead(loaded, provider));
    const scratchTokens = attentionTokens(attention, config.heads, options.maxModelLen);
    const mostBatchTokens = Math.min(logitsTokens(signature), scratchTokens);
    const maxBatchTokens = Math.min(options.maxBatchTokens, mostBatchTokens);
    const limits = { ...options, maxBatchSize: memory.slots, maxBatchTokens };
    const runner = await createRunner(loaded, {
      ort,
      provider,
      deviceId,
      slots: memory.slots,
      prefixSlots: options.batching === 'static' ? 0 : memory.prefixSlots,
      maxLength: options.maxModelLen,
      contextLength: config.contextLength,
      slidingWindow: config.slidingWindow,
      intraOpThreads: options.intraOpThreads,
    });
    const { dtype, executionProvider, maxModelLen, batching } = options;
    const invariance = await settleInvariance(runner);
    await settleMixed(runner);
    const revision = await hashModel(modelFiles(directory, graph));
    const runtime = `${ort.version} ${ort.kind} ${attention}`;
    const { padsLoneRow, cachePath } = runner;
    const numerics = { revision, dtype, executionProvider, runtime, padsLoneRow, cachePath };
    const fingerprint = await numericsFingerprint(numerics, machine);
    return {
      model: {
        maxModelLen,
        vocabSize: config.vocabSize,
        chat: tokenizer.chat,
        revision,
        dtype,
        executionProvider,
        fingerprint,
        invariance,
      },
      tokenizer,
      // An end that the graph cannot choose needs no ban, which would be a logit that is not there.
      eosTokenIds: config.eosTokenIds.filter((id) => id < signature.vocabSize),
      batching,
      mostBatchTokens,
      scheduler: schedulerOf(options, { ...limits, mixes: runner.mixed !== undefined }, memory),
      runner,
    };
  } catch (cause) {
    session.dispose();
    loaded.mixedSession?.dispose();
    throw cause;
  }
}

/** Configuration and graph must be of one model. */
export function requireVocabulary(graph: string, config: ModelConfig, signature: GraphSignature): void {
  if (signature.vocabSize >= config.vocabSize) return;
  const fault = `config.json says ${config.vocabSize} tokens, the graph's logits have ${signature.vocabSize}`;
  throw modelFault(graph, fault, 'use files of one and the same export');
}

/** Whether decode steps may carry chunks of prompts: those of static batching never meet any. */
function mayMix({ batching, executionProvider, maxBatchSize }: ResolvedOptions): boolean {
  return batching === 'continuous' && executionProvider === 'cpu' && maxBatchSize > 1;
}

function schedulerOf(
  options: ResolvedOptions,
  limits: SchedulerLimits & { mixes: boolean },
  memory: MemoryPlan,
): Scheduler {
  if (options.batching === 'static') return new StaticScheduler(limits);
  const { budgetTokens, prefixSlots } = memory;
  return new ContinuousScheduler({ ...limits, budgetTokens, prefixSlots });
}

/** The logits of one pass may take this much where the graph computes them for every position. */
const LOGITS_BYTES = 128 * 2 ** 20;

/** The most tokens that one pass may compute for the sake of its logits. */
function logitsTokens(signature: GraphSignature): number {
  if (signature.logitsIndex) return Number.POSITIVE_INFINITY;
  return Math.max(64, Math.floor(LOGITS_BYTES / (4 * signature.vocabSize)));
}
