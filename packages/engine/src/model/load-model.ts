import { loadOrt } from '@shoal/ort';
import { ContinuousScheduler } from '../continuous-scheduler.ts';
import type { EngineParts } from '../engine.ts';
import type { EngineOptions } from '../engine-options.ts';
import type { GraphSignature } from '../model-runner/graph-signature.ts';
import { loadGraph } from '../model-runner/load-graph.ts';
import { OrtRunner } from '../model-runner/ort-runner.ts';
import type { Scheduler } from '../scheduler.ts';
import { StaticScheduler } from '../static-scheduler.ts';
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
    return {
      model: {
        maxModelLen: options.maxModelLen,
        vocabSize: config.vocabSize,
        chat: tokenizer.chat,
        revision: await hashModel(directory, graph),
        dtype: options.dtype,
        executionProvider: options.executionProvider,
      },
      tokenizer,
      eosTokenIds: config.eosTokenIds,
      batching: options.batching,
      scheduler: schedulerOf(options, limits, memory.budgetTokens),
      runner: new OrtRunner({
        ort,
        session,
        signature,
        slots: memory.slots,
        maxLength: options.maxModelLen,
        intraOpThreads: options.intraOpThreads,
      }),
    };
  } catch (cause) {
    session.dispose();
    throw cause;
  }
}

function schedulerOf(
  options: ResolvedOptions,
  limits: ConstructorParameters<typeof StaticScheduler>[0],
  budgetTokens: number,
): Scheduler {
  return options.batching === 'static'
    ? new StaticScheduler(limits)
    : new ContinuousScheduler({ ...limits, budgetTokens });
}

/** The logits of one pass may take this much where the graph computes them for every position. */
const LOGITS_BYTES = 128 * 2 ** 20;

function prefillTokens(options: ResolvedOptions, signature: GraphSignature): number {
  if (signature.logitsIndex) return options.maxBatchTokens;
  return Math.min(options.maxBatchTokens, Math.max(64, Math.floor(LOGITS_BYTES / (4 * signature.vocabSize))));
}
