import type { ChoiceResult, ChosenLogprob, FinishReason } from '@shoal/protocol';
import type { EventSink } from './event-stream.ts';
import type { FinishedEvent, ResumeFrom } from './generation-engine.ts';
import type { Sequence } from './sequence.ts';

interface ToldToken {
  token: number;
  text: string;
  logprob: ChosenLogprob | undefined;
}

/**
 * What one request is told: the tokens of its sequences, one per choice, in one order; then that it is over.
 *
 * Choices take turns: next comes a token of the choice that has told the fewest, the first of those; one that has ended is
 * passed over. So what stands at a position depends on the answer alone, not on who generated what first: a reader goes
 * on at its position although the log behind that was lost, and written anew by another worker.
 */
export class Answer {
  readonly requestId: string;
  readonly sink: EventSink;
  readonly #sequences: Sequence[] = [];
  #forks: Sequence[] = [];
  readonly #logprobs: ChosenLogprob[][] = [];
  /** Told with the first token. */
  readonly #promptText: string | undefined;
  /** Of each choice: tokens told, and those whose turn has not come. */
  readonly #told: number[] = [];
  readonly #untold: ToldToken[][] = [];
  /** Tokens told, over all choices. */
  #position = 0;

  constructor(requestId: string, sink: EventSink, promptText?: string) {
    this.requestId = requestId;
    this.sink = sink;
    this.#promptText = promptText;
  }

  /** In order of choices. */
  get sequences(): readonly Sequence[] {
    return this.#sequences;
  }

  /** Those that are to be scheduled from the start. */
  get starting(): readonly Sequence[] {
    return this.#sequences.filter((sequence) => sequence.finishReason === undefined && !this.#forks.includes(sequence));
  }

  /** Those that share the first one's prefill and begin with it; handed over once. */
  takeForks(): Sequence[] {
    const forks = this.#forks;
    this.#forks = [];
    return forks;
  }

  get promptTokens(): number {
    return this.#sequences[0]?.promptTokenIds.length ?? 0;
  }

  get generatedTokens(): number {
    return this.#sequences.reduce((sum, sequence) => sum + sequence.tokenIds.length, 0);
  }

  /** True when every choice has its end. */
  get complete(): boolean {
    return this.#sequences.every((sequence) => sequence.finishReason !== undefined);
  }

  /** The sequences, in order of choices; all but the first will share its prefill. */
  begin(sequences: readonly Sequence[]): void {
    this.#sequences.push(...sequences);
    this.#forks = sequences.slice(1);
    for (const _ of sequences) {
      this.#logprobs.push([]);
      this.#told.push(0);
      this.#untold.push([]);
    }
  }

  /**
   * Takes over what was told elsewhere: its tokens will be replayed, each choice by itself, and not told again.
   *
   * @returns false when tokens follow after the end of their choice, or belong to none
   */
  resume({ tokenIds, choices, fast = false }: ResumeFrom, now: number): boolean {
    this.#forks = [];
    for (const [index, token] of tokenIds.entries()) {
      const choice = choices?.[index] ?? 0;
      const sequence = this.#sequences[choice];
      if (sequence === undefined || sequence.finishReason !== undefined) return false;
      sequence.append(token, now);
      this.#told[choice] = (this.#told[choice] ?? 0) + 1;
    }
    if (fast) for (const sequence of this.#sequences) sequence.prefillAll();
    this.#position = tokenIds.length;
    return true;
  }

  /** Tells a token that a sequence was given just now, or keeps it until its turn. */
  tell({ choice }: Sequence, token: number, text: string, logprob: ChosenLogprob | undefined): void {
    if (logprob !== undefined) this.#logprobs[choice]?.push(logprob);
    this.#untold[choice]?.push({ token, text, logprob });
    for (;;) {
      const turn = this.#turn();
      const told = this.#untold[turn]?.shift();
      if (told === undefined) return;
      this.#tellOne(turn, told);
    }
  }

  /** The choice whose token is told next, whether or not that is there yet. */
  #turn(): number {
    let turn = 0;
    let fewest = Number.POSITIVE_INFINITY;
    for (const [choice, { finishReason }] of this.#sequences.entries()) {
      const told = this.#told[choice] ?? 0;
      const isOver = finishReason !== undefined && this.#untold[choice]?.length === 0;
      if (isOver || told >= fewest) continue;
      turn = choice;
      fewest = told;
    }
    return turn;
  }

  #tellOne(choice: number, { token, text, logprob }: ToldToken): void {
    this.sink.tokens({
      type: 'tokens',
      position: this.#position,
      tokenIds: [token],
      text,
      ...(choice === 0 ? {} : { choice }),
      ...(logprob === undefined ? {} : { logprobs: [logprob] }),
      ...(this.#promptText === undefined || this.#position > 0 ? {} : { promptText: this.#promptText }),
    });
    this.#position += 1;
    this.#told[choice] = (this.#told[choice] ?? 0) + 1;
  }

  /** What its reader is told at the end; choices without one were cut short. */
  finishedEvent(now: number): FinishedEvent {
    const [first] = this.#sequences;
    const choices = this.#sequences.map((sequence) => this.#choice(sequence));
    const [head] = choices;
    if (first === undefined || head === undefined) throw new Error('an answer has at least one sequence');
    // What the token log had to its end was computed elsewhere; it may be all that there is.
    const ran = this.#sequences.find(({ startedAt }) => startedAt > 0);
    const firstTokens = this.#sequences.map((sequence) => sequence.firstTokenAt).filter((time) => time > 0);
    return {
      type: 'finished',
      ...head,
      finishReason: this.#reason(),
      ...(choices.length === 1 ? {} : { choices }),
      usage: { promptTokens: this.promptTokens, completionTokens: this.generatedTokens },
      seed: first.seed,
      startedAt: ran?.startedAt ?? now,
      firstTokenAt: firstTokens.length === 0 ? 0 : Math.min(...firstTokens),
      finishedAt: now,
      batchId: ran?.batchId ?? 0,
      batchSize: ran?.batchSize ?? 1,
    };
  }

  /** The first choice's; `abort` when any was cut short. */
  #reason(): FinishReason {
    const reasons = this.#sequences.map((sequence) => sequence.finishReason ?? 'abort');
    return reasons.includes('abort') ? 'abort' : (reasons[0] ?? 'abort');
  }

  #choice(sequence: Sequence): ChoiceResult {
    const result = {
      text: sequence.text.text,
      tokenIds: sequence.tokenIds,
      finishReason: sequence.finishReason ?? ('abort' as const),
    };
    return sequence.params.logprobs === undefined ? result : { ...result, logprobs: this.#logprobs[sequence.choice] };
  }
}
