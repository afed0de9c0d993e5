import type { BatchRecord } from '@shoal/protocol';

/** Everything the engine tells of itself. Metrics and traces are attached outside. */
export type EngineFact =
  | StepFact
  | SampleFact
  | RunFailedFact
  | PrefixHitFact
  | BatchFact
  | JoinedFact
  | LeftFact
  | StartedFact
  | FirstTokenFact
  | PreemptedFact
  | SequenceFact;

/** One run of the model was done. */
export interface StepFact {
  type: 'step';
  phase: 'prefill' | 'decode';
  /** Sequences in it. */
  batchSize: number;
  /** Tokens computed for them, and how many more were computed as padding. */
  tokens: number;
  /** Of a decode step: those that belong to a prompt which rode along. Absent: none. */
  promptTokens?: number | undefined;
  paddingTokens: number;
  /** From the choice of rows to the logits. */
  durationMs: number;
}

/** A run failed. Its sequences are tried again in smaller company, as far as that makes sense. */
export interface RunFailedFact {
  type: 'run-failed';
  phase: 'prefill' | 'decode';
  batchSize: number;
  message: string;
}

/** The beginning of a prompt was copied from the KV cache instead of computed. */
export interface PrefixHitFact {
  type: 'prefix-hit';
  requestId: string;
  /** Tokens copied. */
  tokens: number;
}

/** The tokens of a step were chosen. */
export interface SampleFact {
  type: 'sample';
  /** Tokens chosen. */
  tokens: number;
  /** Rows that had to be looked through in full, because no shorter way decided the draw. */
  wholeRows: number;
  durationMs: number;
}

/** A batch ended (static batching). */
export interface BatchFact {
  type: 'batch';
  batch: BatchRecord;
}

/** A sequence got a slot: it rides in the next steps. */
export interface JoinedFact {
  type: 'joined';
  requestId: string;
  /** Which of the request's answers it is, 0 …. */
  choice: number;
}

/** A sequence gave its slot up: it ended, or it was preempted and will join again. */
export interface LeftFact {
  type: 'left';
  requestId: string;
  choice: number;
}

/** A request left the engine's own waiting line for the first time. */
export interface StartedFact {
  type: 'started';
  requestId: string;
  /** From the engine's acceptance of the request. */
  waitedMs: number;
}

/** A sequence lost its place to make room in the KV cache; it will replay its tokens. */
export interface PreemptedFact {
  type: 'preempted';
  requestId: string;
  /** Tokens of prompt and answer that it had. */
  tokens: number;
}

/** A request got its first token. */
export interface FirstTokenFact {
  type: 'first-token';
  requestId: string;
  /** From the engine's acceptance of the request. */
  afterMs: number;
}

/** A request left the engine. */
export interface SequenceFact {
  type: 'sequence-finished';
  requestId: string;
  outcome: 'stop' | 'length' | 'abort' | 'error';
  promptTokens: number;
  generatedTokens: number;
}
