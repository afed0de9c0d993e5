/** Why a batch began when it did; `continuous`: it joined sequences that were running already. */
export type BatchTrigger = 'full' | 'delay' | 'closing' | 'continuous';

/** One batch as the engine ran it: the fact that tests, metrics and the demo's table read. */
export interface BatchRecord {
  /** Counts from 1 within one engine. */
  id: number;
  /** Request ids in slot order. */
  requestIds: string[];
  trigger: BatchTrigger;
  /** Milliseconds that the oldest of them waited in the engine before the batch began. */
  waitedMs: number;
  /** Unix time in milliseconds. */
  startedAt: number;
  /** Milliseconds from prefill to the last token of the last sequence. */
  durationMs: number;
  /** Decode steps run after the prefill. */
  steps: number;
  promptTokens: number;
  generatedTokens: number;
}
