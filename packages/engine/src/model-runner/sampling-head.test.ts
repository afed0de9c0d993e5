import { loadOrt, type OrtBackend } from '@shoal/ort';
import { beforeAll, describe, expect, it } from 'vitest';
import { plainOutput } from '../testing/plain-candidates.ts';
import { TestRandom } from '../testing/random.ts';
import type { CandidateRequest, Candidates } from './candidates.ts';
import { SamplingHead } from './sampling-head.ts';

const SLOTS = 16;
const VOCABULARY = 1000;

let ort: OrtBackend;
beforeAll(async () => {
  ort = await loadOrt();
});

const random = new TestRandom(2);
const LOGITS = Array.from({ length: SLOTS }, () =>
  Float32Array.from({ length: VOCABULARY }, () => 20 * random.next() - 10),
);

function headOver(rows: readonly Float32Array[]): SamplingHead {
  const logits = ort.allocate('float32', [SLOTS, 1, VOCABULARY]);
  for (const [row, values] of rows.entries()) logits.data.set(values, row * VOCABULARY);
  return new SamplingHead({ ort, intraOpThreads: 1, logits, logitsType: 'float32' });
}

const read = (candidates: Candidates, row: number) => ({
  ids: Array.from({ length: candidates.count }, (_, i) => candidates.id(row, i)),
  values: Array.from({ length: candidates.count }, (_, i) => candidates.value(row, i)),
  logSumExp: candidates.logSumExp(row),
});

describe('SamplingHead', () => {
  const temperatures = LOGITS.map((_, row) => 0.5 + row / 10);
  const additions = {
    rows: [0, 0, 3],
    tokenIds: [5, 6, 7],
    values: [100, Number.NEGATIVE_INFINITY, -3],
  };

  it.each<[string, CandidateRequest]>([
    ['plain', { temperatures }],
    ['with additions', { temperatures, additions }],
  ])('gives what plain arithmetic gives: %s', async (_, request) => {
    const head = headOver(LOGITS);
    const [got, expected] = [await head.run(SLOTS, request), await plainOutput(LOGITS, 64).candidates(request)];
    expect(got.count).toBe(64);
    for (let row = 0; row < SLOTS; row++) {
      const [seen, wanted] = [read(got, row), read(expected, row)];
      expect({ ids: seen.ids, values: seen.values }).toEqual({ ids: wanted.ids, values: wanted.values });
      expect(seen.logSumExp).toBeCloseTo(wanted.logSumExp, 3);
    }
    head.dispose();
  });

  it.each<[string, CandidateRequest]>([
    ['plain', {}],
    ['with additions', { additions }],
  ])('gives only the best where nobody samples: %s', async (_, request) => {
    const head = headOver(LOGITS);
    const [got, expected] = [await head.run(SLOTS, request), await plainOutput(LOGITS, 1).candidates(request)];
    expect(got.count).toBe(1);
    for (let row = 0; row < SLOTS; row++) expect(got.id(row, 0)).toBe(expected.id(row, 0));
    head.dispose();
  });

  it('gives a row the same bits whatever rows are beside it', async () => {
    const together = headOver(LOGITS);
    const batch = await together.run(SLOTS, { temperatures });
    const expected = LOGITS.map((_, row) => read(batch, row));
    for (const [row, logits] of LOGITS.entries()) {
      const alone = headOver([logits]);
      expect(read(await alone.run(1, { temperatures: [temperatures[row] ?? 1] }), 0)).toEqual(expected[row]);
      alone.dispose();
    }
    together.dispose();
  });
});
