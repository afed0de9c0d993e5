import { describe, expect, it } from 'vitest';
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

describe('digits', () => {
  /** Every character is a token, and so is every run of numbers that a text below has. */
  function splitting(preTokenizer: object): (text: string) => string[] {
    const pieces = ['a', 'b', '1', '2', '½', '③', '１', '２', '٣', '12', '½③', '１２', 'a½', '٣a'];
    const json = {
      version: '1.0',
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: preTokenizer,
      post_processor: null,
      decoder: { type: 'Fuse' },
      model: {
        type: 'WordPiece',
        unk_token: '?',
        continuing_subword_prefix: '',
        vocab: vocabularyOf(['?', ...pieces]),
      },
    };
    const tokenizer = new Tokenizer(json, { unk_token: '?' }, undefined);
    return (text) => tokenizer.encode(text, false).map((id) => ['?', ...pieces][id] ?? '');
  }

  const vocabularyOf = (pieces: string[]) => Object.fromEntries(pieces.map((piece, id) => [piece, id]));

  it.each([
    ['one by one', { type: 'Digits', individual_digits: true }, ['a', '½', '③', '１', '２', '٣', 'a', '1', '2', 'b']],
    ['in runs', { type: 'Digits', individual_digits: false }, ['a', '½③', '１２', '٣', 'a', '12', 'b']],
  ])('stand apart %s, whatever script they are of, as in Hugging Face’s own tokenizers', (_, digits, expected) => {
    const text = 'a½③１２٣a12b';
    expect(splitting(digits)(text)).toEqual(expected);
    expect(splitting({ type: 'Sequence', pretokenizers: [digits] })(text)).toEqual(expected);
  });
});

it('writes nothing for an id without a token, which a padded vocabulary has, also where tokens have spaces', () => {
  const json = {
    version: '1.0',
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
    model: { type: 'BPE', vocab: { a: 0, '▁b': 5 }, merges: [] },
  };
  const tokenizer = new Tokenizer(json, {}, undefined);
  expect(tokenizer.decode([0, 3, 5, 100])).toBe('a b');
  expect(tokenizer.decode([100])).toBe('');
});
