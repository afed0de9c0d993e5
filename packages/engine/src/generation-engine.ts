import type {
  ChatMessage,
  ChatTemplateKwargs,
  ChoiceResult,
  ChosenLogprob,
  FinishReason,
  SamplingParams,
  TokensEvent,
  Usage,
} from '@shoal/protocol';
import type { EngineFact } from './events.ts';
import type { Invariance } from './model-runner/probe-invariance.ts';

/** One request as the engine takes it. Exactly one of `prompt`, `messages` and `promptTokenIds` is present. */
export interface EngineRequest {
  /** Unique among the requests in flight. */
  id: string;
  prompt?: string | undefined;
  messages?: ChatMessage[] | undefined;
  /** Variables for the chat template, which renders `messages`. */
  chatTemplateKwargs?: ChatTemplateKwargs | undefined;
  promptTokenIds?: number[] | undefined;
  /**
   * Unix time in milliseconds that the chat template takes for the present: the same one renders the same prompt.
   * Default: when the engine accepts the request.
   */
  askedAt?: number | undefined;
  /** The first event tells the prompt's text too. */
  echo?: boolean | undefined;
  params: SamplingParams;
  /** Prefixes are reused only among requests of one tenant. */
  tenant?: string | undefined;
  /**
   * Continues an answer that was begun elsewhere, with the same prompt, parameters and `seed`: the tokens it had. The
   * prompt is prefilled and they are replayed, so that the rest is what it would have been; events start at position
   * `tokenIds.length`, with the text that those tokens had not settled yet.
   */
  resumeFrom?: ResumeFrom | undefined;
}

/** The token log of a request: what its `tokens` events said, in their order. */
export interface ResumeFrom {
  tokenIds: number[];
  /** The choice that each token belongs to; absent: all to choice 0. */
  choices?: number[] | undefined;
  /** Prefills these tokens with the prompt instead of replaying them: sooner, but not to the last bit the same. */
  fast?: boolean | undefined;
}

/** What `generate` yields: `tokens` events at consecutive positions, then exactly one `finished`. */
export type EngineEvent = TokensEvent | FinishedEvent;

export interface FinishedEvent {
  type: 'finished';
  text: string;
  /** Every token sampled, the end-of-sequence token that ended it included. */
  tokenIds: number[];
  finishReason: FinishReason;
  /** One per token, where they were asked for; after a resume, of the tokens since. */
  logprobs?: ChosenLogprob[] | undefined;
  /** All answers, where more than one was asked for; the fields above are then those of the first. */
  choices?: ChoiceResult[] | undefined;
  usage: Usage;
  seed: number;
  /** Unix times in milliseconds: prefill began, first token sampled, last token sampled. */
  startedAt: number;
  firstTokenAt: number;
  finishedAt: number;
  /**
   * The batch in which the sequence was prefilled, and how many rode in it: with continuous batching, all that ran
   * when it joined, itself included.
   */
  batchId: number;
  batchSize: number;
}

export type { Invariance };

/** What a loaded model is and can take. */
export interface EngineModel {
  /** Most tokens of prompt and answer together. */
  maxModelLen: number;
  vocabSize: number;
  /** True when the model has a chat template. */
  chat: boolean;
  /** Content hash of the model's files, 12 hex digits. */
  revision: string;
  dtype: string;
  executionProvider: string;
  /**
   * Stands for all that decides the bits that this engine computes: the model's files, dtype, provider, runtime and
   * processor; 12 hex digits. With the same one, and {@link Invariance} throughout, an answer resumed elsewhere is
   * byte-identical.
   */
  fingerprint: string;
  /** What probes at load time showed of this model on this machine. */
  invariance: Invariance;
}

export interface EngineStats {
  waiting: number;
  running: number;
  slots: number;
  /** Steps since start; a counter that stands still while `running > 0` means a hung device. */
  steps: number;
  /** Tokens whose keys and values are held or promised (running sequences, kept prefixes), and how many may be. */
  kvUsedTokens: number;
  kvBudgetTokens: number;
}

/** What can be changed while the engine runs; what is left out stays. Ranges as in `EngineOptions`. */
export interface EngineTuning {
  /** At most the slots that the engine was started with. Sequences that run already go on. */
  maxBatchSize?: number | undefined;
  maxQueueDelayMs?: number | undefined;
  /** At most as many as the memory of one pass holds, as when the model was loaded. */
  maxBatchTokens?: number | undefined;
}

/**
 * The engine as its users see it, the same in this thread (`Engine`) and behind a worker thread (`EngineThread`).
 *
 * `generate` rejects with a `ShoalError` when the request itself is at fault (`invalid_request_error`,
 * `context_length_exceeded`) or the runtime failed for it (`inference_error`). Aborting the signal frees the slot at
 * the next step and ends the iteration with a `finished` event whose reason is `abort`.
 */
export interface GenerationEngine {
  readonly model: EngineModel;
  generate(request: EngineRequest, signal?: AbortSignal): AsyncIterable<EngineEvent>;
  stats(): EngineStats;
  /** Changes the limits of batching from the next step on. Values out of range are brought into it. */
  tune(tuning: EngineTuning): void;
  /** Calls `listener` for every fact; returns the function that stops it. */
  observe(listener: (fact: EngineFact) => void): () => void;
  /** Aborts what runs, then frees the model. Idempotent. */
  close(): Promise<void>;
}
