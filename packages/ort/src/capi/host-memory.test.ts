import { describe, expect, it } from 'vitest';
import { wholePages } from './host-memory.ts';

const KIB = 1024;

describe('the whole pages inside a range', () => {
  it.each([
    ['begin and end with it where it begins and ends with pages', 4, 0, 8, 0, 8],
    ['leave out the pages that it shares at either end', 4, 1, 10, 4, 4],
    ['are none where it lies within one', 4, 5, 2, undefined, 0],
    ['are none where it lies across two and fills neither', 4, 2, 4, undefined, 0],
    ['are larger where pages are', 64, 0, 128, 0, 128],
    ['leave out pages of 64 KiB at either end: a neighbour is in them', 64, 4, 192, 64, 128],
    ['are none in 64 KiB that begin within a page', 64, 60, 64, undefined, 0],
    ['are none in less than a page of 16 KiB', 16, 32, 12, undefined, 0],
  ])('%s', (_, page, from, length, start, dropped) => {
    // As high as addresses are.
    const base = 0x7f00_0000_0000n;
    const pages = wholePages(base + BigInt(from * KIB), length * KIB, page * KIB);
    expect(pages.byteLength).toBe(dropped * KIB);
    if (start !== undefined) expect(pages.start - base).toBe(BigInt(start * KIB));
  });
});
