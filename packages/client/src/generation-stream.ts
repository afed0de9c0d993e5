import { type ChosenLogprob, type GenerateResult, type RequestEvent, ShoalError } from '@shoal/protocol';

/** A piece of the answer. */
export interface TextDelta {
  /** May be empty while a character or a stop string is undecided. */
  text: string;
  /** Which of several answers it belongs to, 0 …. */
  choice: number;
  tokenIds: number[];
  /** One per token, where they were asked for. */
  logprobs?: ChosenLogprob[];
}

/** An answer as it comes. It can be read once; the texts of one choice together are that choice's text. */
export class GenerationStream implements AsyncIterable<TextDelta> {
  readonly #deltas: AsyncGenerator<TextDelta, void, undefined>;
  #id: string | undefined;
  #result: GenerateResult | undefined;
  #failure: unknown;

  /** @param open begins the request when the stream is first read, and tells the job's id once it is accepted */
  constructor(open: (onAccepted: (id: string) => void) => AsyncIterable<RequestEvent>) {
    this.#deltas = this.#read(open);
  }

  /** The job's id, once it is accepted. */
  get id(): string | undefined {
    return this.#id;
  }

  [Symbol.asyncIterator](): AsyncGenerator<TextDelta, void, undefined> {
    return this.#deltas;
  }

  /** Reads what is left of the stream; resolves with the whole result, or rejects with what ended it. */
  async result(): Promise<GenerateResult> {
    for await (const _ of this.#deltas);
    if (this.#result !== undefined) return this.#result;
    throw this.#failure ?? new ShoalError('cancelled', 'the stream was left before its end');
  }

  async *#read(
    open: (onAccepted: (id: string) => void) => AsyncIterable<RequestEvent>,
  ): AsyncGenerator<TextDelta, void, undefined> {
    const sent: number[] = [];
    const opened = open((id) => {
      this.#id = id;
    });
    try {
      for await (const event of opened) {
        if (event.type === 'failed') throw ShoalError.fromBody(event.error);
        if (event.type === 'completed') {
          this.#result = event.result;
          yield* remainders(event.result, sent);
          return;
        }
        const { choice = 0, text, tokenIds, logprobs } = event;
        sent[choice] = (sent[choice] ?? 0) + text.length;
        yield { text, choice, tokenIds, ...(logprobs === undefined ? {} : { logprobs }) };
      }
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }
}

/** What a worker kept for the end: text that no event carried. */
function* remainders(result: GenerateResult, sent: readonly number[]): Generator<TextDelta> {
  for (const [choice, { text }] of (result.choices ?? [result]).entries()) {
    const rest = text.slice(sent[choice] ?? 0);
    if (rest !== '') yield { text: rest, choice, tokenIds: [] };
  }
}
