import { describe, expect, it } from 'vitest';
import { byteTokenizer } from '../testing/byte-tokenizer.ts';
import { FIRST_BYTE, idOf, sentencePieceTokenizer } from '../testing/sentencepiece-tokenizer.ts';
import type { Decode, Reading } from './detokenizer.ts';
import { TextAssembler } from './text-assembler.ts';

const tokenizer = byteTokenizer();
const decode = (tokenIds: number[]) => tokenizer.decode(tokenIds);
const bytes = (text: string) => [...new TextEncoder().encode(text)];

/** The texts that come out, token by token, then the flush. */
function assemble(
  tokenIds: readonly number[],
  stops: readonly string[] = [],
  read: Decode = decode,
  reading: Reading = {},
): { parts: string[]; stopped: boolean } {
  const assembler = new TextAssembler(read, stops, reading);
  const parts: string[] = [];
  for (const token of tokenIds) {
    parts.push(assembler.push(token));
    if (assembler.stopped) break;
  }
  parts.push(assembler.flush());
  expect(parts.join('')).toBe(assembler.text);
  return { parts, stopped: assembler.stopped };
}

describe('detokenising', () => {
  it('holds a character back until its last byte', () => {
    expect(assemble(bytes('aé€😀b')).parts).toEqual(['a', '', 'é', '', '', '€', '', '', '', '😀', 'b', '']);
  });

  it('writes an unfinished character at the end as the tokenizer does', () => {
    const unfinished = [...bytes('a'), 0xf0, 0x9f];
    expect(assemble(unfinished).parts.join('')).toBe(decode(unfinished));
  });

  it('equals decoding at once, for text with every kind of byte', () => {
    let state = 1;
    const random = () => {
      state = (state * 48271) % 2147483647;
      return state;
    };
    for (let round = 0; round < 200; round++) {
      const text = Array.from({ length: 20 }, () => String.fromCodePoint(random() % 0xd800)).join('');
      expect(assemble(bytes(text)).parts.join('')).toBe(decode(bytes(text)));
    }
  });

  it('does not hold bytes that are no character for ever', () => {
    const garbage = new Array<number>(300).fill(0xff);
    const assembler = new TextAssembler(decode, []);
    for (const byte of garbage) assembler.push(byte);
    expect(assembler.text.length).toBeGreaterThan(200);
    assembler.flush();
    expect(assembler.text).toBe(decode(garbage));
  });
});

describe('detokenising where a token begins with its space', () => {
  const pieces = sentencePieceTokenizer();
  const read = (tokenIds: number[]) => pieces.decode(tokenIds);
  const [hello, world, end] = [idOf('▁hello'), idOf('▁world'), idOf('</s>')];

  it('leaves out the space that begins the text, and no other', () => {
    expect(assemble([hello, world, idOf('.')], [], read).parts).toEqual(['hello', ' world', '.', '']);
    expect(assemble([idOf('▁'), world], [], read).parts).toEqual(['', ' world', '']);
  });

  it.each([1, 2, 8, 9, 100])('keeps the space behind %i special tokens', (count) => {
    const specials = new Array<number>(count).fill(end);
    const { parts } = assemble([hello, ...specials, world, ...specials, hello], [], read);
    expect(parts.filter((part) => part !== '')).toEqual(['hello', ' world', ' hello']);
  });

  it('reads no more than a few of the tokens that wrote nothing', () => {
    let longest = 0;
    const watched = (tokenIds: number[]): string => {
      longest = Math.max(longest, tokenIds.length);
      return read(tokenIds);
    };
    assemble([hello, ...new Array<number>(1000).fill(end)], [], watched);
    expect(longest).toBeLessThan(20);
  });
});

describe('an answer that goes on with a prompt', () => {
  const pieces = sentencePieceTokenizer();
  const read = (tokenIds: number[]) => pieces.decode(tokenIds);
  const [bos, hello, world, full, end] = [idOf('<s>'), idOf('▁hello'), idOf('▁world'), idOf('.'), idOf('</s>')];
  const byte = (value: number) => FIRST_BYTE + value;
  const after = (before: readonly number[], answer: readonly number[]) =>
    assemble(answer, [], read, { before }).parts.join('');

  it('begins with the space of its first token', () => {
    expect(after([bos, hello], [world, full])).toBe(' world.');
    expect(after([bos, hello, ...new Array<number>(40).fill(end)], [world])).toBe(' world');
    expect(after([hello, ...bytes('😀').map(byte)], [world])).toBe(' world');
  });

  it('begins a text of its own where nothing was written before', () => {
    expect(after([], [hello, world])).toBe('hello world');
    expect(after([bos], [hello, world])).toBe('hello world');
  });

  it('has no part of a character that the prompt has begun', () => {
    const cut = [hello, byte(0xe2), byte(0x82)];
    expect(after(cut, [byte(0xac), world])).toBe('\uFFFD world');
    expect(after(cut, [world])).toBe(' world');
  });

  it('changes nothing where tokens are read alone', () => {
    const before = [...bytes('pr€'), 0xe2, 0x82];
    for (const answer of [bytes('aé€😀b'), [0xac, 0x61], [0x82]]) {
      const alone = assemble(answer, [], decode, { concatenates: true });
      expect(assemble(answer, [], decode, { concatenates: true, before })).toEqual(alone);
    }
  });
});

describe('single tokens', () => {
  const pieces = sentencePieceTokenizer();
  const read = (tokenIds: number[]) => pieces.decode(tokenIds);
  const [hello, world, space] = [idOf('▁hello'), idOf('▁world'), idOf('▁')];

  /** What each token is said to be just before it is taken. */
  function singles(tokenIds: readonly number[], reading: Reading): string[] {
    const assembler = new TextAssembler(read, [], reading);
    return tokenIds.map((token) => {
      const text = assembler.single()(token);
      assembler.push(token);
      return text;
    });
  }

  it('have their spaces, and join to the text', () => {
    const answer = [world, idOf('ly'), space, hello, idOf('</s>'), world];
    expect(singles(answer, { before: [hello] })).toEqual([' world', 'ly', ' ', ' hello', '', ' world']);
    expect(singles(answer, {})).toEqual(['world', 'ly', ' ', ' hello', '', ' world']);
  });

  it('are told apart where they differ by their space alone', () => {
    const read = new TextAssembler((tokenIds) => pieces.decode(tokenIds), [], { before: [hello] }).single();
    expect([space, idOf('▁▁'), idOf('<s>')].map(read)).toEqual([' ', '  ', '']);
  });

  it('are U+FFFD where they are part of a character, also of one that is begun', () => {
    const euro = bytes('€').map((value) => FIRST_BYTE + value);
    expect(singles([...euro, world], { before: [hello] })).toEqual(['\uFFFD', '\uFFFD', '\uFFFD', ' world']);
  });
});

describe('stop strings', () => {
  it('end the text before them, across the borders of tokens', () => {
    expect(assemble(bytes('one END two'), ['END'])).toEqual({
      parts: ['o', 'n', 'e', ' ', '', '', '', ''],
      stopped: true,
    });
  });

  it('hold back what might become one, and release it when it does not', () => {
    expect(assemble(bytes('EN'), ['END']).parts).toEqual(['', '', 'EN']);
    expect(assemble(bytes('ENEND'), ['END'])).toEqual({ parts: ['', '', 'EN', '', '', ''], stopped: true });
    expect(assemble(bytes('aab'), ['aac']).parts).toEqual(['', '', 'aab', '']);
  });

  it('the one that begins first wins', () => {
    expect(assemble(bytes('xabcy'), ['c', 'abc']).parts.join('')).toBe('x');
  });

  it('are found in text of several bytes per character', () => {
    expect(assemble(bytes('grün🙂rest'), ['🙂']).parts.join('')).toBe('grün');
  });
});
