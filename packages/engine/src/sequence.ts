import type { FinishReason, SamplingParams } from '@shoal/protocol';
import type { EventSink } from './event-stream.ts';
import type { FinishedEvent } from './generation-engine.ts';
import type { TextAssembler } from './tokenizer/text-assembler.ts';

/**
 * waiting → running → finished; a preempted sequence goes back to waiting. Only `running` owns a slot.
 */
export type SequenceState = 'waiting' | 'running' | 'finished';

export interface SequenceInit {
  id: string;
  promptTokenIds: readonly number[];
  params: SamplingParams;
  seed: number;
  /** Tokens of the answer at most: the request's wish, bounded by the context. */
  maxNewTokens: number;
  tenant?: string | undefined;
  /** Unix time in milliseconds at which the engine accepted it. */
  arrivedAt: number;
  /** Counts acceptances: who came first, also within one millisecond. */
  ordinal: number;
  text: TextAssembler;
  sink: EventSink;
}

/**
 * A request inside the engine. Its tokens are the prompt followed by `tokenIds`; the first `computed` of them are in
 * the KV cache. A token beyond `computed` that is already known (after a preemption or a resume) is a *forced* one:
 * it is fed as if it had just been sampled, and nothing is sampled until `computed` reaches `length`.
 */
export class Sequence {
  readonly id: string;
  readonly promptTokenIds: readonly number[];
  readonly params: SamplingParams;
  readonly seed: number;
  readonly maxNewTokens: number;
  readonly tenant: string | undefined;
  readonly arrivedAt: number;
  readonly ordinal: number;
  readonly text: TextAssembler;
  readonly sink: EventSink;

  state: SequenceState = 'waiting';
  /** The answer so far, every sampled token included. */
  readonly tokenIds: number[] = [];
  /** Tokens of prompt and answer whose keys and values are in the cache. */
  computed = 0;
  /** The row of the KV cache it owns while running. */
  slot: number | undefined;
  finishReason: FinishReason | undefined;

  /** Unix times in milliseconds; 0 until it happened. */
  startedAt = 0;
  firstTokenAt = 0;
  finishedAt = 0;
  /** The batch in which it was prefilled first, and the sequences in that. */
  batchId = 0;
  batchSize = 0;

  constructor(init: SequenceInit) {
    this.id = init.id;
    this.promptTokenIds = init.promptTokenIds;
    this.params = init.params;
    this.seed = init.seed;
    this.maxNewTokens = init.maxNewTokens;
    this.tenant = init.tenant;
    this.arrivedAt = init.arrivedAt;
    this.ordinal = init.ordinal;
    this.text = init.text;
    this.sink = init.sink;
  }

  /** Tokens of prompt and answer together. */
  get length(): number {
    return this.promptTokenIds.length + this.tokenIds.length;
  }

  get prefilled(): boolean {
    return this.computed >= this.promptTokenIds.length;
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
   * ends with it: `ends` says that the token is one that ends answers, and so is never part of the text.
   */
  append(token: number, ends: boolean, now: number): string {
    this.tokenIds.push(token);
    if (this.firstTokenAt === 0) this.firstTokenAt = now;
    const text = ends ? '' : this.text.push(token);
    if (ends || this.text.stopped) this.finishReason = 'stop';
    else if (this.tokenIds.length >= this.maxNewTokens) this.finishReason = 'length';
    return this.finishReason === undefined ? text : text + this.text.flush();
  }

  /** Gives up its place; what it has said stays, and is replayed when it runs again. */
  preempt(): void {
    this.state = 'waiting';
    this.computed = 0;
  }

  /**
   * Takes over an answer that was begun elsewhere: its tokens will be replayed, its text is not told again. Sets
   * `finishReason` when they are a whole answer already.
   *
   * @returns false when tokens follow after the answer's end
   */
  resume(tokenIds: readonly number[], endsAnswer: (token: number) => boolean, now: number): boolean {
    for (const token of tokenIds) {
      if (this.finishReason !== undefined) return false;
      this.append(token, endsAnswer(token), now);
    }
    return true;
  }

  /** What its reader is told at the end. */
  finishedEvent(reason: FinishReason): FinishedEvent {
    return {
      type: 'finished',
      text: this.text.text,
      tokenIds: this.tokenIds,
      finishReason: reason,
      usage: { promptTokens: this.promptTokenIds.length, completionTokens: this.tokenIds.length },
      seed: this.seed,
      startedAt: this.startedAt,
      firstTokenAt: this.firstTokenAt,
      finishedAt: this.finishedAt,
      batchId: this.batchId,
      batchSize: this.batchSize,
    };
  }
}
