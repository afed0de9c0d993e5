import type { CandidateRequest, Candidates } from './candidates.ts';

/** The result of one run. Valid until the next call of the runner that made it. */
export interface StepOutput {
  /** Rows computed. */
  readonly rows: number;
  /** Logits `[vocabSize]` of the last position of row `row`: a view where possible, not to be written. */
  logits(row: number): Float32Array;
  /** The most likely tokens of every row. */
  candidates(request: CandidateRequest): Promise<Candidates>;
}

/** Tokens of one prompt, behind the `past` positions that its row holds. */
export interface PromptChunk {
  past: number;
  tokenIds: readonly number[];
}

/**
 * The one seam to the hardware. A runner owns the model's session and the KV cache: `slots` rows of `maxLength`
 * positions. Which sequence owns which row is not its business.
 *
 * Every method may reject with whatever the runtime throws; the cache rows it was writing are then undefined.
 */
export interface ModelRunner {
  readonly slots: number;
  readonly maxLength: number;
  readonly vocabSize: number;
  /** For `OrtBackend.terminate` in another thread: ends the run in progress. 0 where that is impossible. */
  readonly interruptHandle: bigint;

  /**
   * Computes whole prompts (or the first chunks of prompts) into rows `firstSlot`, `firstSlot + 1`, …, overwriting
   * them. `prompts[i]` has 1 … maxLength token ids; shorter ones are padded on the right.
   */
  prefill(firstSlot: number, prompts: readonly (readonly number[])[]): Promise<StepOutput>;

  /**
   * Computes `tokenIds` (at least two: a pass over one token takes another kernel, so its result would not be
   * bit-equal) behind the `past` > 0 positions that row `slot` holds.
   */
  extend(slot: number, past: number, tokenIds: readonly number[]): Promise<StepOutput>;

  /**
   * Feeds one token to each of the rows 0 … tokenIds.length − 1, which hold `pasts[i]` positions.
   *
   * @param behind positions that the row after the last one holds; what lies behind them may be overwritten, see
   * `padsLoneRow`
   */
  decode(tokenIds: readonly number[], pasts: readonly number[], behind: number): Promise<StepOutput>;

  /**
   * `decode` that carries a chunk of a prompt: at least two tokens, for the row behind those that decode. One pass, and
   * to the last bit the results of `decode` and `extend` (or `prefill`, at past 0); those of the chunk are the last row.
   * Absent where the runner cannot do that.
   */
  readonly mixed?:
    | ((tokenIds: readonly number[], pasts: readonly number[], chunk: PromptChunk) => Promise<StepOutput>)
    | undefined;

  /** Copies the first `length` positions of row `from` over those of row `to`, which then holds nothing else. */
  copySlot(from: number, to: number, length: number): void;

  /** Nothing owns row `slot` any more: its memory may be given back. */
  freeSlot(slot: number): void;

  close(): Promise<void>;
}
