import type { FinishReason, SamplingParams } from '@shoal/protocol';
import type { Answer } from './answer.ts';
import { LogitAdjuster } from './sampling/logit-adjuster.ts';
import type { TextAssembler } from './tokenizer/text-assembler.ts';

/**
 * waiting → running → finished; a preempted sequence goes back to waiting. Only `running` owns a slot.
 */
export type SequenceState = 'waiting' | 'running' | 'finished';

export interface SequenceInit {
  answer: Answer;
  /** Which of the request's answers this is, 0 …. */
  choice: number;
  promptTokenIds: readonly number[];
  params: SamplingParams;
  seed: number;
  /** Tokens of the answer at most: the request's wish, bounded by the context. */
  maxNewTokens: number;
  /** Tokens that end the answer. */
  endTokenIds: ReadonlySet<number>;
  tenant?: string | undefined;
  /** Unix time in milliseconds at which the engine accepted it. */
  arrivedAt: number;
  /** Counts acceptances: who came first, also within one millisecond. */
  ordinal: number;
  text: TextAssembler;
}

/**
 * One answer in the making. Its tokens are the prompt followed by `tokenIds`; the first `computed` of them are in
 * the KV cache. A token beyond `computed` that is already known (after a preemption or a resume) is a *forced* one:
 * it is fed as if it had just been sampled, and nothing is sampled until `computed` reaches `length`.
 */
export class Sequence {
  /** Unique among the sequences in the engine. */
  readonly id: string;
  readonly answer: Answer;
  readonly choice: number;
  readonly promptTokenIds: readonly number[];
  readonly params: SamplingParams;
  readonly seed: number;
  readonly maxNewTokens: number;
  readonly tenant: string | undefined;
  readonly arrivedAt: number;
  readonly ordinal: number;
  readonly text: TextAssembler;
  readonly adjuster: LogitAdjuster | undefined;
  readonly #endTokenIds: ReadonlySet<number>;

  state: SequenceState = 'waiting';
  /** The answer so far, every sampled token included. */
  readonly tokenIds: number[] = [];
  /** What the prefill computes: the prompt, or more of a resumed answer; see {@link prefillAll}. */
  prefillTokenIds: readonly number[];
  /** Tokens of prompt and answer whose keys and values are in the cache. */
  computed = 0;
  /** The row of the KV cache it owns while running. */
  slot: number | undefined;
  finishReason: FinishReason | undefined;

  /** Unix times in milliseconds; 0 until then. */
  startedAt = 0;
  firstTokenAt = 0;
  /** The batch in which it was prefilled first, and the sequences in that. */
  batchId = 0;
  batchSize = 0;

  constructor(init: SequenceInit) {
    this.id = init.choice === 0 ? init.answer.requestId : `${init.answer.requestId}#${init.choice}`;
    this.answer = init.answer;
    this.choice = init.choice;
    this.promptTokenIds = init.promptTokenIds;
    this.prefillTokenIds = init.promptTokenIds;
    this.params = init.params;
    this.seed = init.seed;
    this.maxNewTokens = init.maxNewTokens;
    this.tenant = init.tenant;
    this.arrivedAt = init.arrivedAt;
    this.ordinal = init.ordinal;
    this.text = init.text;
    this.adjuster = LogitAdjuster.for(init.params, init.promptTokenIds, [...init.endTokenIds]);
    this.#endTokenIds = init.endTokenIds;
  }

  /** Tokens of prompt and answer together. */
  get length(): number {
    return this.promptTokenIds.length + this.tokenIds.length;
  }

  get prefilled(): boolean {
    return this.computed >= this.prefillTokenIds.length;
  }

  /** True when all known tokens are in the cache but the last pass has yet to choose the next one. */
  get awaitsToken(): boolean {
    return this.computed === this.length;
  }

  /** The token that the next decode step feeds. */
  get nextInput(): number {
    const token = this.tokenIds[this.computed - this.promptTokenIds.length];
    if (token === undefined) throw new Error(`sequence ${this.id} has no token to feed at ${this.computed}`);
    return token;
  }

  /**
   * Adds the token just chosen to the answer and returns the text it settled. Sets `finishReason` when the answer
   * ends with it.
   */
  append(token: number, now: number): string {
    const early = this.tokenIds.length < (this.params.minTokens ?? 0);
    this.tokenIds.push(token);
    this.adjuster?.say(token);
    if (this.firstTokenAt === 0) this.firstTokenAt = now;
    const ends = this.#endTokenIds.has(token);
    const text = ends ? '' : this.text.push(token, !early);
    if (ends || this.text.stopped) this.finishReason = 'stop';
    else if (this.tokenIds.length >= this.maxNewTokens) this.finishReason = 'length';
    return this.finishReason === undefined ? text : text + this.text.flush();
  }

  /** Lets the prefill compute everything known so far: sooner done than replayed, and not to the last bit the same. */
  prefillAll(): void {
    this.prefillTokenIds = [...this.promptTokenIds, ...this.tokenIds];
  }

  /** Gives up its place; what it has said stays, and is replayed when it runs again. */
  preempt(): void {
    this.state = 'waiting';
    this.computed = 0;
  }
}
