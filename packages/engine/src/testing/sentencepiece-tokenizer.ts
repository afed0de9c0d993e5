import type { ChatTemplate } from '../tokenizer/chat-template.ts';
import { Tokenizer } from '../tokenizer/tokenizer.ts';

export const SPECIAL = ['<unk>', '<s>', '</s>', '<|user|>'] as const;
export const WORDS = ['▁', '▁▁', '▁hello', '▁world', 'ly', 'é', '.'] as const;

/** Ids: those of the special tokens, the 256 bytes, the words. */
export const FIRST_BYTE: number = SPECIAL.length;
export const FIRST_WORD: number = FIRST_BYTE + 256;

/**
 * A tokenizer as SentencePiece's models are exported (Llama 2, Mistral, Gemma): spaces are part of the tokens behind them,
 * and a text's first one is no part of it; letters without a token are bytes.
 */
export function sentencePieceTokenizer(chatTemplate?: ChatTemplate): Tokenizer {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  const vocab = Object.fromEntries([...SPECIAL, ...bytes, ...WORDS].map((token, id) => [token, id]));
  const json = {
    version: '1.0',
    added_tokens: SPECIAL.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: '<unk>',
      fuse_unk: true,
      byte_fallback: true,
      vocab,
      merges: [],
    },
  };
  return new Tokenizer(json, { eos_token: '</s>', unk_token: '<unk>' }, chatTemplate);
}

/** The id of a special token or a word. */
export function idOf(token: (typeof SPECIAL)[number] | (typeof WORDS)[number]): number {
  const special = (SPECIAL as readonly string[]).indexOf(token);
  return special >= 0 ? special : FIRST_WORD + (WORDS as readonly string[]).indexOf(token);
}
