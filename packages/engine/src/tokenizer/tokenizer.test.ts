import { expect, it } from 'vitest';
import { Tokenizer } from './tokenizer.ts';

it('takes a vocabulary whose ids have gaps', () => {
  const added = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  const json = {
    version: '1.0',
    added_tokens: [{ id: 40, content: '<|end|>', ...added }],
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: { type: 'BPE', vocab: { a: 0, b: 1, ab: 5 }, merges: [['a', 'b']] },
  };
  const tokenizer = new Tokenizer(json, { eos_token: '<|end|>' }, undefined);
  expect(tokenizer.encode('abb<|end|>', false)).toEqual([5, 1, 40]);
  expect(tokenizer.longestText(2)).toBe(14);
  expect(tokenizer.decode([5, 3, 1, 20, 40])).toBe('abb');
});
