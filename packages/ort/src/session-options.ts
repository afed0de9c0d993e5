import type { SharedWeights } from './backend.ts';

/**
 * How a session computes. What is absent is left to ONNX Runtime's own default. onnxruntime-node has no way to set
 * `spinning`, `attention`, `freeDimensions`, `sharedWeights`, `externalDataFolder` and `config`: the fallback ignores them.
 */
export interface SessionOptions {
  /** Tried in order for each operator; the CPU follows as the last. Default: the CPU alone. */
  executionProviders?: readonly ExecutionProvider[];
  /** Threads that compute one operator, the calling one included; 1 or more. Default: one per physical core. */
  intraOpThreads?: number;
  /** Threads for operators side by side; matters only with `executionMode: 'parallel'`. */
  interOpThreads?: number;
  /** Whether idle intra-op threads spin for work (faster steps) or sleep (leaves the cores to others). */
  spinning?: boolean;
  /**
   * Attention over a cache on the CPU (`GroupQueryAttention`): `tiled` (ONNX Runtime's default) keeps no matrix of
   * scores, but hands every row of a batch to the threads by itself as soon as their lengths differ; `plain` computes all
   * rows in one go, with a scratch of 4 · heads · positions computed · positions allocated bytes. The runtime reads the choice
   * from a variable of the process while it creates the session: threads that create sessions of either kind at the same
   * moment may get the other's, so let them do it one after the other.
   */
  attention?: 'plain' | 'tiled';
  graphOptimization?: GraphOptimization;
  executionMode?: 'sequential' | 'parallel';
  /** Reuses memory by a pattern learnt per input shape. Off is better where shapes change at every run. */
  memoryPattern?: boolean;
  /** Keeps freed memory in an arena instead of returning it to the system. */
  cpuArena?: boolean;
  /** Fixes named dimensions. */
  freeDimensions?: Readonly<Record<string, number>>;
  logId?: string;
  /** What is written to stderr: 0 verbose … 2 warning, 3 error, 4 fatal. Default 4: what fails also throws. */
  logSeverity?: 0 | 1 | 2 | 3 | 4;
  /** Where to write the optimised graph. */
  optimizedModelPath?: string;
  /** Initializers of the model that lie there are taken from there, and shared with other sessions. */
  sharedWeights?: SharedWeights;
  /** Where the files of a model are that is given as bytes and keeps its weights outside. */
  externalDataFolder?: string;
  /** Entries of onnxruntime_session_options_config_keys.h, such as `session.set_denormal_as_zero`. */
  config?: Readonly<Record<string, string>>;
}

/** How far the graph may be rewritten when it is loaded. */
export type GraphOptimization = 'disabled' | 'basic' | 'extended' | 'layout' | 'all';

/** An execution provider and its own options, by the names of ONNX Runtime's documentation. */
export interface ExecutionProvider {
  /** Lower case, as onnxruntime-node spells it: cpu, cuda, tensorrt, webgpu, coreml, dml, xnnpack, … */
  readonly name: string;
  readonly options?: Readonly<Record<string, string>>;
}
