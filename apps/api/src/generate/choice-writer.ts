import type { ChosenLogprob } from '@shoal/protocol';
import type { Choice, ResponseJson, ResponseMeta, ResponseShape } from './response-shape.ts';

export interface ChoiceWriterOptions {
  shape: ResponseShape;
  meta: ResponseMeta;
  /** Index of the choice in the response. */
  index: number;
  /** Text that goes before the answer. */
  echo: () => string;
  send: (chunk: ResponseJson) => Promise<void>;
}

/** Writes the chunks of one choice of a stream: its opening, its text as it comes, its end. */
export class ChoiceWriter {
  readonly #options: ChoiceWriterOptions;
  #opened = false;
  /** Characters of the answer's text sent so far. */
  #sent = 0;
  /** Log probabilities sent so far, and the characters of their tokens. */
  #sentLogprobs = 0;
  #offset = 0;

  constructor(options: ChoiceWriterOptions) {
    this.#options = options;
  }

  /** Sends more of the answer. */
  async write(text: string, logprobs: readonly ChosenLogprob[] = []): Promise<void> {
    await this.#open();
    await this.#write(text, logprobs);
  }

  /** Ends the choice, first sending what a worker that does not stream has kept for the end. */
  async finish(choice: Choice): Promise<void> {
    await this.#open();
    await this.#write(choice.text.slice(this.#sent), choice.logprobs?.slice(this.#sentLogprobs) ?? []);
    const { shape, meta, send } = this.#options;
    await send(shape.finish(meta, choice));
  }

  async #write(text: string, logprobs: readonly ChosenLogprob[]): Promise<void> {
    if (text === '' && logprobs.length === 0) return;
    const { shape, meta, index, send } = this.#options;
    const piece = { text, logprobs, offset: this.#offset };
    this.#sent += text.length;
    this.#sentLogprobs += logprobs.length;
    for (const token of logprobs) this.#offset += token.text.length;
    await send(shape.delta(meta, index, piece));
  }

  async #open(): Promise<void> {
    if (this.#opened) return;
    this.#opened = true;
    const { shape, meta, index, echo, send } = this.#options;
    if (shape.opening !== undefined) await send(shape.opening(meta, index));
    await this.#write(echo(), []);
  }
}
