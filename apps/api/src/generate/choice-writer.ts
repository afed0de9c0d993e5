import type { Answer, ResponseMeta, ResponseShape } from './response-shape.ts';

/** Writes the chunks of one choice of a stream: its opening, its text as it comes, its end. */
export class ChoiceWriter {
  readonly #shape: ResponseShape;
  readonly #meta: ResponseMeta;
  readonly #index: number;
  readonly #send: (chunk: object) => Promise<void>;
  #opened = false;
  /** Characters of the answer sent so far. */
  #sent = 0;

  constructor(shape: ResponseShape, meta: ResponseMeta, index: number, send: (chunk: object) => Promise<void>) {
    this.#shape = shape;
    this.#meta = meta;
    this.#index = index;
    this.#send = send;
  }

  async text(text: string): Promise<void> {
    await this.#open();
    if (text === '') return;
    this.#sent += text.length;
    await this.#send(this.#shape.delta(this.#meta, this.#index, text));
  }

  /** Ends the choice, first sending what a worker that does not stream has kept for the end. */
  async finish(answer: Answer): Promise<void> {
    await this.text(answer.result.text.slice(this.#sent));
    await this.#send(this.#shape.finish(this.#meta, answer));
  }

  async #open(): Promise<void> {
    if (this.#opened) return;
    this.#opened = true;
    if (this.#shape.opening !== undefined) await this.#send(this.#shape.opening(this.#meta, this.#index));
  }
}
