import { loadOrt } from '@shoal/ort';
import { ContinuousScheduler } from '../continuous-scheduler.ts';
import type { EngineParts } from '../engine.ts';
import type { EngineOptions } from '../engine-options.ts';
import type { MemoryPlan } from '../kv-cache/memory-plan.ts';
import type { GraphSignature } from '../model-runner/graph-signature.ts';
import { loadGraph } from '../model-runner/load-graph.ts';
import { OrtRunner } from '../model-runner/ort-runner.ts';
import { type Invariance, probeInvariance } from '../model-runner/probe-invariance.ts';
import type { Scheduler, SchedulerLimits } from '../scheduler.ts';
import { StaticScheduler } from '../static-scheduler.ts';
import { numericsFingerprint } from './fingerprint.ts';
import { readModelConfig } from './model-config.ts';
import { findGraph, hashModel } from './model-files.ts';
import { modelFault } from './read-json.ts';
import { readTokenizer } from './read-tokenizer.ts';
import { planModelMemory, type ResolvedOptions, resolveOptions } from './resolve-options.ts';

/** Builds an engine's parts from a model directory. Every fault is one line that names the file and the remedy. */
export async function loadModel(given: EngineOptions): Promise<EngineParts> {
  const directory = given.modelDirectory;
  const graph = await findGraph(directory, given.dtype ?? 'fp32');
  const config = await readModelConfig(directory);
  const tokenizer = await readTokenizer(directory);
  const options = resolveOptions(given, config);
  const ort = await loadOrt();
  const { session, signature } = await loadGraph(ort, { graph, ...options });
  try {
    if (signature.vocabSize < config.vocabSize) {
      const fault = `config.json says ${config.vocabSize} tokens, the graph's logits have ${signature.vocabSize}`;
      throw modelFault(graph, fault, 'use files of one and the same export');
    }
    const memory = planModelMemory(options, signature);
    const limits = { ...options, maxBatchSize: memory.slots, maxBatchTokens: prefillTokens(options, signature) };
    const runner = new OrtRunner({
      ort,
      session,
      signature,
      slots: memory.slots,
      prefixSlots: options.batching === 'static' ? 0 : memory.prefixSlots,
      maxLength: options.maxModelLen,
      intraOpThreads: options.intraOpThreads,
    });
    const { dtype, executionProvider, maxModelLen, batching } = options;
    const invariance = await settleInvariance(runner);
    const revision = await hashModel(directory, graph);
    const runtime = `${ort.version} ${ort.kind}`;
    const { padsLoneRow } = runner;
    const fingerprint = await numericsFingerprint({ revision, dtype, executionProvider, runtime, padsLoneRow });
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
      eosTokenIds: config.eosTokenIds,
      batching,
      scheduler: schedulerOf(options, limits, memory),
      runner,
    };
  } catch (cause) {
    session.dispose();
    throw cause;
  }
}

/** Probes the model; where only a lone row differs from one in company, lone rows get company. */
export async function settleInvariance(runner: OrtRunner): Promise<Invariance> {
  const bare = await probeInvariance(runner);
  if (bare.batch) return bare;
  runner.padsLoneRow = true;
  const padded = await probeInvariance(runner);
  if (!padded.batch) runner.padsLoneRow = false;
  return padded.batch ? padded : bare;
}

function schedulerOf(options: ResolvedOptions, limits: SchedulerLimits, memory: MemoryPlan): Scheduler {
  if (options.batching === 'static') return new StaticScheduler(limits);
  const { budgetTokens, prefixSlots } = memory;
  return new ContinuousScheduler({ ...limits, budgetTokens, prefixSlots });
}

/** The logits of one pass may take this much where the graph computes them for every position. */
const LOGITS_BYTES = 128 * 2 ** 20;

function prefillTokens(options: ResolvedOptions, signature: GraphSignature): number {
  if (signature.logitsIndex) return options.maxBatchTokens;
  return Math.min(options.maxBatchTokens, Math.max(64, Math.floor(LOGITS_BYTES / (4 * signature.vocabSize))));
}
