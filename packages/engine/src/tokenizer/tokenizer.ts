import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { ShoalError } from '@shoal/protocol';
import type { ChatTemplate, RenderOptions } from './chat-template.ts';
import { withUnicodeDigits } from './digits.ts';

/** Text to token ids and back, for one model. */
export class Tokenizer {
  /**
   * Whether tokens write the same bytes whatever stands before them. Byte-level vocabularies do (GPT-2, Llama 3, Qwen);
   * elsewhere the first token of a text may lose its space, or bytes be read together.
   */
  readonly concatenates: boolean;
  readonly #tokenizer: HuggingFaceTokenizer;
  readonly #chatTemplate: ChatTemplate | undefined;
  readonly #longestToken: number;
  /** Texts of single tokens, which detokenising asks for at every step; as many as the vocabulary at most. */
  readonly #decodedAlone = new Map<number, string>();

  /**
   * @param tokenizerJson contents of `tokenizer.json`
   * @param tokenizerConfig contents of `tokenizer_config.json`
   * @throws when the files do not describe a tokenizer that the library knows
   */
  constructor(tokenizerJson: object, tokenizerConfig: object, chatTemplate: ChatTemplate | undefined) {
    this.#tokenizer = new HuggingFaceTokenizer(withUnicodeDigits(tokenizerJson), tokenizerConfig);
    this.#chatTemplate = chatTemplate;
    this.concatenates = decoderType(tokenizerJson) === 'ByteLevel';
    // Where ids have a gap, what the library lists there is undefined.
    const tokens: Iterable<string | undefined> = this.#tokenizer.get_vocab(true).keys();
    this.#longestToken = [...tokens].reduce((longest, token) => Math.max(longest, token?.length ?? 0), 1);
  }

  /** True when conversations can be rendered. */
  get chat(): boolean {
    return this.#chatTemplate !== undefined;
  }

  /** Characters that `tokens` tokens can stand for at most: a longer text need not be tokenised to be refused. */
  longestText(tokens: number): number {
    return tokens * this.#longestToken;
  }

  /** The text of token ids, special tokens left out. */
  decode(tokenIds: number[]): string {
    const [first] = tokenIds;
    if (first === undefined) return '';
    if (tokenIds.length > 1) return this.#decodeAll(tokenIds);
    const known = this.#decodedAlone.get(first);
    if (known !== undefined) return known;
    const text = this.#decodeAll(tokenIds);
    this.#decodedAlone.set(first, text);
    return text;
  }

  #decodeAll(given: number[]): string {
    // Other decoders than the byte-level one break on ids without a token, which a padded vocabulary has.
    const tokenIds = this.concatenates
      ? given
      : given.filter((tokenId) => this.#tokenizer.id_to_token(tokenId) !== undefined);
    if (tokenIds.length === 0) return '';
    return this.#tokenizer.decode(tokenIds, { skip_special_tokens: true, clean_up_tokenization_spaces: false });
  }

  /** @param specialTokens whether to add what the tokenizer puts around plain text; a rendered chat has it already */
  encode(text: string, specialTokens: boolean): number[] {
    try {
      return this.#tokenizer.encode(text, { add_special_tokens: specialTokens }).ids;
    } catch (cause) {
      throw new ShoalError('invalid_request_error', 'the prompt could not be tokenised', { cause });
    }
  }

  /** Throws `invalid_request_error` when the model has no chat template or the template refuses. */
  render(options: RenderOptions): string {
    if (this.#chatTemplate === undefined) {
      throw new ShoalError('invalid_request_error', 'this model has no chat template: send a prompt, not messages', {
        param: 'messages',
      });
    }
    return this.#chatTemplate.render(options);
  }
}

function decoderType({ decoder }: { decoder?: { type?: string } | null }): string | undefined {
  return decoder?.type;
}
