import type { ChoiceResult, ChosenLogprob, FinishReason } from '@shoal/protocol';
import type { EventSink } from './event-stream.ts';
import type { FinishedEvent, ResumeFrom } from './generation-engine.ts';
import type { Sequence } from './sequence.ts';

/** What one request is told: the tokens of its sequences, one per choice, in one order; then that it is over. */
export class Answer {
  readonly requestId: string;
  readonly sink: EventSink;
  readonly #sequences: Sequence[] = [];
  #forks: Sequence[] = [];
  readonly #logprobs: ChosenLogprob[][] = [];
  /** Told with the first token. */
  readonly #promptText: string | undefined;
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
    this.#logprobs.push(...sequences.map(() => []));
  }

  /**
   * Takes over what was told elsewhere: its tokens will be replayed, each choice by itself, and not told again.
   *
   * @returns false when tokens follow after the end of their choice, or belong to none
   */
  resume({ tokenIds, choices, fast = false }: ResumeFrom, now: number): boolean {
    this.#forks = [];
    for (const [index, token] of tokenIds.entries()) {
      const sequence = this.#sequences[choices?.[index] ?? 0];
      if (sequence === undefined || sequence.finishReason !== undefined) return false;
      sequence.append(token, now);
    }
    if (fast) for (const sequence of this.#sequences) sequence.prefillAll();
    this.#position = tokenIds.length;
    return true;
  }

  tell(sequence: Sequence, token: number, text: string, logprob: ChosenLogprob | undefined): void {
    if (logprob !== undefined) this.#logprobs[sequence.choice]?.push(logprob);
    this.sink.tokens({
      type: 'tokens',
      position: this.#position,
      tokenIds: [token],
      text,
      ...(sequence.choice === 0 ? {} : { choice: sequence.choice }),
      ...(logprob === undefined ? {} : { logprobs: [logprob] }),
      ...(this.#promptText === undefined || this.#position > 0 ? {} : { promptText: this.#promptText }),
    });
    this.#position += 1;
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
