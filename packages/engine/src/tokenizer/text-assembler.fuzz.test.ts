import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BYTE_EOS, byteTokenizer } from '../testing/byte-tokenizer.ts';
import {
  FIRST_BYTE,
  FIRST_WORD,
  idOf,
  SPECIAL,
  sentencePieceTokenizer,
  WORDS,
} from '../testing/sentencepiece-tokenizer.ts';
import type { Decode, Reading } from './detokenizer.ts';
import { TextAssembler } from './text-assembler.ts';

const FIXED = { seed: 20261122, numRuns: 1_000 };
const tokenizer = byteTokenizer();
const decode = (tokenIds: number[]) => tokenizer.decode(tokenIds);

/** Text of all alphabets as bytes, sometimes with bytes that are no text in between. */
const tokens = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: fc.string({ unit: 'binary', maxLength: 6 }).map((text) => [...Buffer.from(text)]) },
      { weight: 1, arbitrary: fc.array(fc.nat({ max: BYTE_EOS }), { maxLength: 3 }) },
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.flat());

const pieces = sentencePieceTokenizer();

/** Words, special tokens between them, and letters as bytes: whole ones, and some that are none. */
const pieceTokens = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: fc.nat({ max: WORDS.length - 1 }).map((word) => [FIRST_WORD + word]) },
      { weight: 2, arbitrary: fc.array(fc.nat({ max: SPECIAL.length - 1 }), { maxLength: 12 }) },
      {
        weight: 2,
        arbitrary: fc
          .constantFrom('a', 'é', '€', '😀')
          .map((letter) => [...Buffer.from(letter)].map((byte) => FIRST_BYTE + byte)),
      },
      { weight: 1, arbitrary: fc.constantFrom(0xff, 0xe2, 0xf0, 0x82).map((byte) => [FIRST_BYTE + byte]) },
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.flat());

/** Few letters, so that stop strings are met, half met and met across borders. */
const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'é', '😀'), maxLength: 30 });
const stops = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'é', '😀'), minLength: 1, maxLength: 4 }), {
  maxLength: 3,
});

function assembled(
  tokenIds: readonly number[],
  stopStrings: readonly string[],
  reading: Reading = {},
  read: Decode = decode,
): string[] {
  const assembler = new TextAssembler(read, stopStrings, reading);
  const parts: string[] = [];
  for (const tokenId of tokenIds) {
    parts.push(assembler.push(tokenId));
    if (assembler.stopped) break;
  }
  return [...parts, assembler.flush()];
}

describe('text that grows token by token', () => {
  it('is what decoding at once gives, whatever the bytes', () => {
    fc.assert(
      fc.property(tokens, (tokenIds) => {
        expect(assembled(tokenIds, []).join('')).toBe(decode(tokenIds));
      }),
      FIXED,
    );
  });

  it('is what decoding at once gives where spaces are part of tokens, and the first one is lost', () => {
    const read = (tokenIds: number[]) => pieces.decode(tokenIds);
    fc.assert(
      fc.property(pieceTokens, (tokenIds) => {
        expect(assembled(tokenIds, [], {}, read).join('')).toBe(read(tokenIds));
      }),
      FIXED,
    );
  });

  it('goes on with the text of its prompt, up to the last whole character of that', () => {
    const read = (tokenIds: number[]) => pieces.decode(tokenIds);
    fc.assert(
      fc.property(pieceTokens, pieceTokens, (start, tokenIds) => {
        const before = [...start, idOf('.')];
        const text = assembled(tokenIds, [], { before }, read).join('');
        expect(read(before) + text).toBe(read([...before, ...tokenIds]));
      }),
      FIXED,
    );
  });

  it('is what its tokens are one by one, where each is whole characters', () => {
    const read = (tokenIds: number[]) => pieces.decode(tokenIds);
    const whole = pieceTokens.map((tokenIds) => tokenIds.filter((id) => id < FIRST_BYTE || id >= FIRST_WORD));
    fc.assert(
      fc.property(whole, whole, (before, tokenIds) => {
        const assembler = new TextAssembler(read, [], { before });
        const singles = tokenIds.map((token) => {
          const text = assembler.single()(token);
          assembler.push(token);
          return text;
        });
        assembler.flush();
        expect(singles.join('')).toBe(assembler.text);
      }),
      FIXED,
    );
  });

  it('comes in the same parts where tokens are known to be read alone', () => {
    expect(tokenizer.concatenates).toBe(true);
    fc.assert(
      fc.property(tokens, stops, (tokenIds, stopStrings) => {
        const alone = assembled(tokenIds, stopStrings, { concatenates: true });
        expect(alone).toEqual(assembled(tokenIds, stopStrings));
      }),
      FIXED,
    );
  });

  it('ends before the first stop string, however it falls on tokens, and never takes a letter back', () => {
    fc.assert(
      fc.property(letters, stops, (text, stopStrings) => {
        const met = stopStrings.map((stop) => text.indexOf(stop)).filter((index) => index >= 0);
        // Several stop strings may end together; of those met first in time, the earliest beginning counts.
        const firstEnd = Math.min(
          ...stopStrings.filter((stop) => text.includes(stop)).map((stop) => text.indexOf(stop) + stop.length),
        );
        const seen = met.length === 0 ? text : text.slice(0, firstEnd);
        const begins = stopStrings.map((stop) => seen.indexOf(stop)).filter((index) => index >= 0);
        const expected = begins.length === 0 ? text : text.slice(0, Math.min(...begins));
        expect(assembled([...Buffer.from(text)], stopStrings).join('')).toBe(expected);
      }),
      FIXED,
    );
  });
});
