import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mergeLog } from './merge-log.ts';

const FIXED = { seed: 20261122, numRuns: 1_000 };

/** A generation cut into entries, as a worker writes them. */
const generation = fc.array(fc.array(fc.nat({ max: 999 }), { minLength: 1, maxLength: 4 }), { maxLength: 10 });

function entriesOf(chunks: readonly number[][]): string[] {
  let position = 0;
  return chunks.map((tokenIds) => {
    const entry = JSON.stringify({
      type: 'tokens',
      position,
      tokenIds,
      text: tokenIds.map((id) => `<${id}>`).join(''),
    });
    position += tokenIds.length;
    return entry;
  });
}

const textOf = (tokenIds: readonly number[]) => tokenIds.map((id) => `<${id}>`).join('');

describe('merging a token log', () => {
  it('gives the generation back, whatever foreign entries lie between and however often an entry is repeated', () => {
    fc.assert(
      fc.property(generation, fc.array(fc.tuple(fc.nat(), fc.string()), { maxLength: 5 }), (chunks, foreign) => {
        const entries = entriesOf(chunks).flatMap((entry) => [entry, entry]);
        for (const [at, text] of foreign) entries.splice(at % (entries.length + 1), 0, text);
        const merged = mergeLog(entries);
        expect(merged.tokenIds).toEqual(chunks.flat());
        expect(merged.text).toBe(textOf(chunks.flat()));
      }),
      FIXED,
    );
  });

  it('ends at a gap: what it tells is always a beginning of the truth', () => {
    fc.assert(
      fc.property(generation, fc.array(fc.nat(), { minLength: 1, maxLength: 3 }), (chunks, lost) => {
        const entries = entriesOf(chunks);
        const first = Math.min(...lost.map((at) => at % Math.max(1, entries.length)));
        const kept = entries.filter((_, at) => !lost.some((gone) => gone % entries.length === at));
        expect(mergeLog(kept).tokenIds).toEqual(chunks.slice(0, first).flat());
      }),
      FIXED,
    );
  });
});
