import { availableParallelism } from 'node:os';
import { ShoalError } from '@shoal/protocol';
import type { BatchingPolicy, EngineOptions, ModelDtype } from '../engine-options.ts';
import { type MemoryPlan, planMemory } from '../kv-cache/memory-plan.ts';
import type { CacheOverhead } from '../model-runner/create-runner.ts';
import type { GraphSignature } from '../model-runner/graph-signature.ts';
import { availableMemory } from './available-memory.ts';
import type { ModelConfig } from './model-config.ts';

/** {@link EngineOptions} with every default in place and every range checked. */
export interface ResolvedOptions {
  dtype: ModelDtype;
  executionProvider: string;
  intraOpThreads: number;
  batching: BatchingPolicy;
  maxBatchSize: number;
  maxQueueDelayMs: number;
  maxBatchTokens: number;
  maxModelLen: number;
  kvCacheMb: number | undefined;
}

/** @throws ShoalError `invalid_request_error` that names the option, its value and its range */
export function resolveOptions(options: EngineOptions, config: ModelConfig): ResolvedOptions {
  const batching = options.batching ?? 'continuous';
  const provider = options.executionProvider ?? 'auto';
  const threads = options.intraOpThreads ?? Math.max(1, Math.floor(availableParallelism() / 2));
  const delay = options.maxQueueDelayMs ?? (batching === 'static' ? 10 : 0);
  return {
    dtype: options.dtype ?? 'fp32',
    executionProvider: provider === 'auto' ? 'cpu' : provider,
    intraOpThreads: integer('intraOpThreads', threads, 1, 1024),
    batching,
    maxBatchSize: integer('maxBatchSize', options.maxBatchSize ?? 16, 1, 1024),
    maxQueueDelayMs: inRange('maxQueueDelayMs', delay, 0, 3_600_000),
    maxBatchTokens: integer('maxBatchTokens', options.maxBatchTokens ?? 8192, 2, 10_000_000),
    maxModelLen: integer('maxModelLen', options.maxModelLen ?? config.contextLength, 2, config.contextLength),
    kvCacheMb: options.kvCacheMb === undefined ? undefined : inRange('kvCacheMb', options.kvCacheMb, 1, 10_000_000),
  };
}

/** Share of the memory still free that keys and values may take when nothing is said. */
const DEFAULT_SHARE = 0.25;

/** Bytes of keys and values of one token, over all layers. */
export function kvBytesPerToken(signature: GraphSignature): number {
  const bytes = signature.cacheType === 'float16' ? 2 : 4;
  return 2 * signature.layers.length * signature.kvHeads * signature.headSize * bytes;
}

/**
 * @param overhead what runs take besides the rows of the cache
 * @throws ShoalError `invalid_request_error` when the budget does not hold one sequence of full length
 */
export function planModelMemory(
  options: ResolvedOptions,
  signature: GraphSignature,
  { copies, padding }: CacheOverhead = { copies: 1, padding: 0 },
): MemoryPlan {
  const bytesPerToken = copies * kvBytesPerToken(signature);
  const { maxModelLen, maxBatchSize } = options;
  const paddingBytes = (copies - 1) * padding * maxBatchSize * kvBytesPerToken(signature);
  const budgetBytes =
    options.kvCacheMb === undefined
      ? Math.min(DEFAULT_SHARE * availableMemory(), bytesPerToken * maxModelLen * maxBatchSize * 2 + paddingBytes)
      : options.kvCacheMb * 2 ** 20;
  // Only the CPU's memory is not taken before it is touched, and can be given back row by row.
  const overcommit = options.executionProvider === 'cpu' && options.batching === 'continuous';
  try {
    return planMemory({
      budgetBytes: budgetBytes - paddingBytes,
      bytesPerToken,
      maxModelLen,
      maxBatchSize,
      overcommit,
    });
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    const have = `the KV cache has ${Math.floor(budgetBytes / 2 ** 20)} MB, and ${cause.message}`;
    throw new ShoalError('invalid_request_error', `${have}: raise kvCacheMb or lower maxModelLen`, { cause });
  }
}

function integer(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value)) return inRange(name, value, least, most);
  throw new ShoalError('invalid_request_error', `${name} is ${value}: give a whole number from ${least} to ${most}`);
}

function inRange(name: string, value: number, least: number, most: number): number {
  if (value >= least && value <= most) return value;
  throw new ShoalError('invalid_request_error', `${name} is ${value}: give a number from ${least} to ${most}`);
}
