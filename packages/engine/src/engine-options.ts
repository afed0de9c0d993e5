import type { Clock } from './clock.ts';

/** Which file of the model is loaded: `onnx/model.onnx` for fp32, `onnx/model_<dtype>.onnx` for the others. */
export type ModelDtype = 'fp32' | 'fp16' | 'int8' | 'uint8' | 'q8' | 'q4' | 'q4f16' | 'bnb4';

export type ExecutionProvider = 'auto' | 'cpu' | 'cuda' | 'tensorrt' | 'webgpu' | 'coreml' | 'dml';

/** How sequences share a batch. */
export type BatchingPolicy = 'continuous' | 'static';

export interface EngineOptions {
  /** A directory in the layout of Hugging Face or onnxruntime-genai; `locateModel` makes one of a hub id. */
  modelDirectory: string;
  /** Default `fp32`. */
  dtype?: ModelDtype | undefined;
  /** Default `auto`: the first of the table in this package's README that finds a real adapter, the CPU last. */
  executionProvider?: ExecutionProvider | undefined;
  /** Which GPU, ≥ 0. Default 0. */
  deviceId?: number | undefined;
  /** Threads of one operator, ≥ 1. Default: half of the logical cores, at least 1. */
  intraOpThreads?: number | undefined;
  /** `continuous` (default): sequences join and leave at every step. `static`: a batch runs to its end. */
  batching?: BatchingPolicy | undefined;
  /** Sequences that run together, 1 … 1,024. Default 16. */
  maxBatchSize?: number | undefined;
  /**
   * Milliseconds that the first prompt of an idle engine waits for company, ≥ 0. Default 0 with continuous batching,
   * where latecomers join anyway; 10 with static.
   */
  maxQueueDelayMs?: number | undefined;
  /**
   * Tokens, padding included, that one prefill computes at most. Default 8,192; lowered so that the logits of one pass
   * stay within 128 MB where the graph computes them for every position. A longer prompt is prefilled in chunks;
   * with static batching, at once and alone.
   */
  maxBatchTokens?: number | undefined;
  /** Most tokens of prompt and answer together. Default, and at most: the model's context. */
  maxModelLen?: number | undefined;
  /**
   * Megabytes (2^20) for keys and values of the sequences that run and of kept prefixes. Default: a quarter of the
   * memory that this process may still take, or twice what maxBatchSize × maxModelLen tokens need if that is less.
   */
  kvCacheMb?: number | undefined;
}

/** What tests replace. */
export interface EngineDependencies {
  clock?: Clock | undefined;
  /** Seed for a request that brings none: an integer, 0 … 2^53 − 1. */
  drawSeed?: (() => number) | undefined;
}
