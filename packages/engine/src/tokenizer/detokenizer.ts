/** Turns token ids into text; skips special tokens. */
export type Decode = (tokenIds: number[]) => string;

/** What an unfinished UTF-8 character decodes to. */
const REPLACEMENT = '\uFFFD';
/** No character takes more byte tokens than this; what hangs longer is not going to become one. */
const LONGEST_CHARACTER = 4;
const MOST_HELD = 16;
/** How far back in a prompt its last tokens that write are looked for: special ones may stand behind them. */
const FURTHEST = 64;

/** How the tokens of an answer are to be read. */
export interface Reading {
  /** Whether tokens write the same bytes whatever stands before them. Default: false. */
  concatenates?: boolean;
  /** Tokens of the text that the answer goes on with. Default: none, the answer is a text of its own. */
  before?: readonly number[];
}

/**
 * Incremental detokenisation. A token's text depends on those before it (leading spaces, characters of several
 * tokens), so each step decodes a short window twice, with and without the new tokens, and the difference is new
 * text. Text that ends inside a character is held back. The offsets are those of Text Generation Inference and vLLM,
 * which move on only with new text.
 */
export class Detokenizer {
  readonly #decode: Decode;
  readonly #concatenates: boolean;
  /** The window: tokens already written, kept as context, then tokens held back. */
  #tokens: number[] = [];
  /** How many of the window are written. */
  #written = 0;

  constructor(decode: Decode, { concatenates = false, before = [] }: Reading = {}) {
    this.#decode = decode;
    this.#concatenates = concatenates;
    if (!concatenates) this.#tokens = this.#contextOf(before);
    this.#written = this.#tokens.length;
  }

  /** The text that this token completed; '' while it is undecided. */
  push(tokenId: number): string {
    const alone = this.#concatenates ? this.#pushAlone(tokenId) : undefined;
    if (alone !== undefined) return alone;
    this.#tokens.push(tokenId);
    const before = this.#decode(this.#tokens.slice(0, this.#written));
    const after = this.#decode(this.#tokens);
    if (after.endsWith(REPLACEMENT)) return this.#overdue(before);
    if (after === before && this.#isSilent(tokenId)) {
      this.#tokens.pop();
      return '';
    }
    return this.#advance(before, after, this.#tokens.length);
  }

  /** Reads single tokens as the next one would be written here: U+FFFD where one is only part of a character. */
  single(): (tokenId: number) => string {
    if (this.#concatenates) return (tokenId) => this.#decode([tokenId]);
    const context = this.#tokens.slice(0, this.#written);
    const before = this.#decode(context);
    return (tokenId) => this.#decode([...context, tokenId]).slice(before.length);
  }

  /** What was held back to the end, as the tokenizer writes it. */
  flush(): string {
    const before = this.#decode(this.#tokens.slice(0, this.#written));
    const text = this.#decode(this.#tokens).slice(before.length);
    this.#tokens = [];
    this.#written = 0;
    return text;
  }

  /** The last few tokens that write something, up to the end of a character: one that is cut is not the answer's. */
  #contextOf(before: readonly number[]): number[] {
    const written = before.slice(-FURTHEST).filter((tokenId) => !this.#isSilent(tokenId));
    const context = written.slice(-LONGEST_CHARACTER);
    while (this.#decode(context).endsWith(REPLACEMENT)) context.pop();
    return context;
  }

  /** The shorter way to the same text where nothing is held back: undefined when the token ends inside a character. */
  #pushAlone(tokenId: number): string | undefined {
    if (this.#tokens.length > this.#written) return undefined;
    const token = [tokenId];
    const text = this.#decode(token);
    if (text.endsWith(REPLACEMENT)) return undefined;
    this.#tokens = token;
    this.#written = 1;
    return text;
  }

  #advance(before: string, after: string, end: number): string {
    const text = after.slice(before.length);
    // A context without text would make what follows begin the text, and lose its space.
    const moves = text !== '' || end > MOST_HELD;
    if (moves) this.#tokens = this.#tokens.slice(this.#written);
    this.#written = moves ? end - this.#written : end;
    return text;
  }

  /** Whether a token never writes anything, as special ones do not. The space that begins a text writes, if it comes twice. */
  #isSilent(tokenId: number): boolean {
    return this.#decode([tokenId, tokenId]) === '';
  }

  /** Bytes that are no character must not make the window grow for ever: writes what later tokens cannot change. */
  #overdue(before: string): string {
    if (this.#tokens.length - this.#written < MOST_HELD) return '';
    const whole = this.#decode(this.#tokens);
    for (let keep = 1; keep <= LONGEST_CHARACTER; keep++) {
      const end = this.#tokens.length - keep;
      const head = this.#decode(this.#tokens.slice(0, end));
      if (head + this.#decode(this.#tokens.slice(end)) === whole) return this.#advance(before, head, end);
    }
    return '';
  }
}
