import type { ChatTemplate } from '../tokenizer/chat-template.ts';
import { Tokenizer } from '../tokenizer/tokenizer.ts';

export const BYTE_EOS = 256;
export const BYTE_VOCABULARY = 257;

/** A tokenizer whose tokens are the 256 bytes and one end-of-sequence token. */
export function byteTokenizer(chatTemplate?: ChatTemplate): Tokenizer {
  const vocab = Object.fromEntries(byteCharacters().map((character, byte) => [character, byte]));
  const end = { id: BYTE_EOS, content: '<end>', single_word: false, lstrip: false, rstrip: false, normalized: false };
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  const json = {
    version: '1.0',
    added_tokens: [{ ...end, special: true }],
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: { type: 'BPE', dropout: null, unk_token: null, fuse_unk: false, byte_fallback: false, vocab, merges: [] },
  };
  return new Tokenizer(json, { eos_token: '<end>' }, chatTemplate);
}

/** GPT-2's printable stand-ins for the bytes. */
function byteCharacters(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCharCode(printable ? byte : next++);
  });
}
