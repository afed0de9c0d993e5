import { describe, expect, it } from 'vitest';
import { byteTokenizer } from '../testing/byte-tokenizer.ts';
import { idOf, sentencePieceTokenizer } from '../testing/sentencepiece-tokenizer.ts';
import type { Decode } from './detokenizer.ts';
import { TextAssembler } from './text-assembler.ts';

const tokenizer = byteTokenizer();
const decode = (tokenIds: number[]) => tokenizer.decode(tokenIds);
const bytes = (text: string) => [...new TextEncoder().encode(text)];

/** The texts that come out, token by token, then the flush. */
function assemble(
  tokenIds: readonly number[],
  stops: readonly string[] = [],
  read: Decode = decode,
): { parts: string[]; stopped: boolean } {
  const assembler = new TextAssembler(read, stops);
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
