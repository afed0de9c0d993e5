import { type Decode, Detokenizer, type Reading } from './detokenizer.ts';
import { StopChecker } from './stop-checker.ts';

/** The text of one answer as it grows: the texts handed out, one after another, are the answer. */
export class TextAssembler {
  readonly #detokenizer: Detokenizer;
  readonly #stops: StopChecker;
  #text = '';

  constructor(decode: Decode, stops: readonly string[], reading: Reading = {}) {
    this.#detokenizer = new Detokenizer(decode, reading);
    this.#stops = new StopChecker(stops);
  }

  /** Everything handed out so far. */
  get text(): string {
    return this.#text;
  }

  /** True once a stop string was met: the answer ends before it. */
  get stopped(): boolean {
    return this.#stops.stopped;
  }

  /** Reads single tokens as {@link Detokenizer.single} does. */
  single(): (tokenId: number) => string {
    return this.#detokenizer.single();
  }

  /**
   * Takes the next token (never one that ends the answer), returns the text it settled.
   *
   * @param heedStops false while the answer may not end yet; only before the first token that heeds them
   */
  push(tokenId: number, heedStops: boolean = true): string {
    const text = this.#detokenizer.push(tokenId);
    return this.#hand(heedStops ? this.#stops.push(text) : text);
  }

  /** The answer is over: what was held back. */
  flush(): string {
    if (this.#stops.stopped) return '';
    const settled = this.#stops.push(this.#detokenizer.flush());
    return this.#hand(settled + (this.#stops.stopped ? '' : this.#stops.flush()));
  }

  #hand(text: string): string {
    this.#text += text;
    return text;
  }
}
