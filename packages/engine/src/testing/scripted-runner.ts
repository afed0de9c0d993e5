import { CacheLost } from '../kv-cache/cache-rows.ts';
import type { ModelRunner, PromptChunk, StepOutput } from '../model-runner/model-runner.ts';
import { plainOutput } from './plain-candidates.ts';

export interface ScriptedRunnerOptions {
  slots: number;
  maxLength: number;
  vocabSize: number;
  /** The token that follows a history: what a greedy reader of the logits will see. */
  next: (history: readonly number[]) => number;
  /** Whether decode steps may carry chunks. Default false. */
  mixes?: boolean | undefined;
}

/** The ways in which a runner is called. */
type Pass = 'prefill' | 'extend' | 'decode' | 'mixed';

/**
 * A ModelRunner without a model. It remembers the tokens that each row of the cache stands for, so that a wrong slot,
 * a missed copy or a position out of place shows as a wrong answer or throws.
 */
export class ScriptedRunner implements ModelRunner {
  readonly slots: number;
  readonly maxLength: number;
  readonly vocabSize: number;
  readonly interruptHandle = 0n;
  /** Every run, in order. */
  readonly runs: { phase: Pass; rows: number; tokens: number }[] = [];
  /** Called before each run; what it throws is the run's failure. */
  beforeRun: ((phase: Pass, rows: number) => void | Promise<void>) | undefined;
  /** Called for each copy of a row; what it throws is the failure of the copy or, as on a device, of the next run. */
  beforeCopy: (() => void) | undefined;
  /** Whether a copy fails when it is asked for, as in host memory, or later, as on a device. */
  copiesFail: 'at once' | 'later' = 'later';
  /** Called with the histories of the rows that were just written; what it throws is the run's failure. */
  afterWrite: ((histories: readonly (readonly number[])[]) => void) | undefined;
  /** Lets a run take time: told of what was computed, once it was. */
  duration: ((phase: Pass, tokens: number) => void) | undefined;
  /** Turns the logits of a row into others: for broken rows. */
  spoil: ((history: readonly number[], logits: Float32Array) => void) | undefined;
  closed = false;
  #failedCopy: { cause: unknown } | undefined;
  mixed: ModelRunner['mixed'];
  readonly #next: ScriptedRunnerOptions['next'];
  readonly #histories: number[][];

  constructor(options: ScriptedRunnerOptions) {
    this.slots = options.slots;
    this.maxLength = options.maxLength;
    this.vocabSize = options.vocabSize;
    this.#next = options.next;
    this.#histories = Array.from({ length: options.slots }, () => []);
    if (options.mixes === true) this.mixed = (...pass) => this.#mixed(...pass);
  }

  async prefill(firstSlot: number, prompts: readonly (readonly number[])[]): Promise<StepOutput> {
    await this.#begin('prefill', prompts.length, prompts.flat().length);
    for (const [row, prompt] of prompts.entries()) this.#write(firstSlot + row, 0, prompt);
    return this.#output(firstSlot, prompts.length);
  }

  async extend(slot: number, past: number, tokenIds: readonly number[]): Promise<StepOutput> {
    if (tokenIds.length < 2) throw new Error('a chunk needs at least two tokens');
    await this.#begin('extend', 1, tokenIds.length);
    this.#write(slot, past, tokenIds);
    return this.#output(slot, 1);
  }

  async decode(tokenIds: readonly number[], pasts: readonly number[], behind: number): Promise<StepOutput> {
    await this.#begin('decode', tokenIds.length, tokenIds.length);
    const next = this.#histories[tokenIds.length];
    if (next !== undefined && behind > next.length) throw new Error(`the row behind holds ${next.length} positions`);
    for (const [slot, token] of tokenIds.entries()) this.#write(slot, pasts[slot] ?? 0, [token]);
    return this.#output(0, tokenIds.length);
  }

  async #mixed(tokenIds: readonly number[], pasts: readonly number[], chunk: PromptChunk): Promise<StepOutput> {
    const rows = tokenIds.length;
    if (chunk.tokenIds.length < 2) throw new Error('a chunk needs at least two tokens');
    await this.#begin('mixed', rows + 1, rows + chunk.tokenIds.length);
    for (const [slot, token] of tokenIds.entries()) this.#write(slot, pasts[slot] ?? 0, [token]);
    this.#write(rows, chunk.past, chunk.tokenIds);
    return this.#output(0, rows + 1);
  }

  copySlot(from: number, to: number, length: number): void {
    try {
      if (this.#failedCopy === undefined) this.beforeCopy?.();
    } catch (cause) {
      if (this.copiesFail === 'at once') throw cause;
      this.#failedCopy = { cause };
    }
    if (this.#failedCopy !== undefined) return;
    this.#histories[to] = this.#row(from).slice(0, length);
  }

  freeSlot(slot: number): void {
    this.#histories[slot] = [];
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  async #begin(phase: Pass, rows: number, tokens: number): Promise<void> {
    if (this.closed) throw new Error('the runner is closed');
    const failed = this.#failedCopy;
    this.#failedCopy = undefined;
    if (failed !== undefined) throw new CacheLost('a row could not be copied', failed);
    await this.beforeRun?.(phase, rows);
    this.runs.push({ phase, rows, tokens });
    this.duration?.(phase, tokens);
  }

  #row(slot: number): number[] {
    const history = this.#histories[slot];
    if (history === undefined) throw new Error(`there is no slot ${slot}`);
    return history;
  }

  #write(slot: number, past: number, tokenIds: readonly number[]): void {
    const history = this.#row(slot);
    if (tokenIds.length === 0) throw new Error(`nothing to compute for slot ${slot}`);
    if (past > history.length) throw new Error(`slot ${slot} holds ${history.length} positions, not ${past}`);
    if (past + tokenIds.length > this.maxLength) throw new Error(`slot ${slot} has no room`);
    history.length = past;
    history.push(...tokenIds);
  }

  #output(firstSlot: number, rows: number): StepOutput {
    this.afterWrite?.(Array.from({ length: rows }, (_, row) => this.#row(firstSlot + row)));
    const logits = Array.from({ length: rows }, (_, row) => {
      const history = this.#row(firstSlot + row);
      const values = new Float32Array(this.vocabSize);
      values[this.#next(history)] = 10;
      this.spoil?.(history, values);
      return values;
    });
    // At most eight candidates, so that samplers meet the end of them.
    return plainOutput(logits, 8);
  }
}
