import { describe, expect, it } from 'vitest';
import { byteTokenizer } from '../testing/byte-tokenizer.ts';
import { TextAssembler } from './text-assembler.ts';

const tokenizer = byteTokenizer();
const decode = (tokenIds: number[]) => tokenizer.decode(tokenIds);
const bytes = (text: string) => [...new TextEncoder().encode(text)];

/** The texts that come out, token by token, then the flush. */
function assemble(tokenIds: readonly number[], stops: readonly string[] = []): { parts: string[]; stopped: boolean } {
  const assembler = new TextAssembler(decode, stops);
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
