import { loadOrt, type OrtBackend } from '@shoal/ort';
import { beforeAll, describe, expect, it } from 'vitest';
import { backendWith } from '../testing/backend-with.ts';
import { plainOutput } from '../testing/plain-candidates.ts';
import { TestRandom } from '../testing/random.ts';
import type { CandidateRequest, Candidates } from './candidates.ts';
import { blockSize } from './head-graphs.ts';
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

function headOver(rows: readonly Float32Array[], backend: OrtBackend = ort): SamplingHead {
  const logits = ort.allocate('float32', [SLOTS, 1, VOCABULARY]);
  for (const [row, values] of rows.entries()) logits.data.set(values, row * VOCABULARY);
  return new SamplingHead({ ort: backend, intraOpThreads: 1, logits, logitsType: 'float32' });
}

const read = (candidates: Candidates, row: number) => ({
  best: candidates.best(row),
  ids: Array.from({ length: candidates.count }, (_, i) => candidates.id(row, i)),
  probabilities: candidates.probabilities(row).slice(),
  blockMasses: candidates.blockMasses(row).slice(),
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
    ['with the likeliest', { temperatures, likeliest: true }],
    ['with additions', { temperatures, likeliest: true, additions }],
    ['at temperature 1', { temperatures: temperatures.map(() => 1) }],
    ['greedy', { best: true }],
    ['greedy with additions', { best: true, additions }],
    ['of both kinds', { best: true, temperatures, likeliest: true, additions }],
  ])('gives what plain arithmetic gives: %s', async (_, request) => {
    const head = headOver(LOGITS);
    const [got, expected] = [await head.run(SLOTS, request), await plainOutput(LOGITS, 64).candidates(request)];
    expect(got.count).toBe(expected.count);
    for (let row = 0; row < SLOTS; row++) {
      const [seen, wanted] = [read(got, row), read(expected, row)];
      expect(seen.ids).toEqual(wanted.ids);
      if (request.best) expect(seen.best).toBe(wanted.best);
      if (request.temperatures === undefined) continue;
      for (const [id, probability] of seen.probabilities.entries()) {
        expect(Math.abs(probability - (wanted.probabilities[id] ?? 0))).toBeLessThan(1e-6);
      }
      const size = VOCABULARY / seen.blockMasses.length;
      for (const [block, mass] of seen.blockMasses.entries()) {
        const sum = seen.probabilities.subarray(block * size, (block + 1) * size).reduce((a, b) => a + b, 0);
        expect(mass).toBeCloseTo(sum, 5);
      }
    }
    head.dispose();
  });

  it('gives a row the same bits whatever rows are beside it', async () => {
    const together = headOver(LOGITS);
    const batch = await together.run(SLOTS, { best: true, temperatures, likeliest: true });
    const expected = LOGITS.map((_, row) => read(batch, row));
    for (const [row, logits] of LOGITS.entries()) {
      const alone = headOver([logits]);
      const request = { best: true, temperatures: [temperatures[row] ?? 1], likeliest: true };
      expect(read(await alone.run(1, request), 0)).toEqual(expected[row]);
      alone.dispose();
    }
    together.dispose();
  });

  it('is made again after it could not be made', async () => {
    let failures = 1;
    const createSession: OrtBackend['createSession'] = async (...graph) => {
      if (failures-- > 0) throw new Error('no memory left');
      return ort.createSession(...graph);
    };
    const head = headOver(LOGITS, backendWith(ort, { createSession }));
    await expect(head.run(SLOTS, { best: true })).rejects.toThrow('no memory left');
    const expected = await plainOutput(LOGITS, 64).candidates({ best: true });
    expect((await head.run(SLOTS, { best: true })).best(3)).toBe(expected.best(3));
    head.dispose();
  });

  it('leaves no rejection behind that nobody hears, if it is disposed of meanwhile', async () => {
    const unheard: unknown[] = [];
    const hear = (reason: unknown) => unheard.push(reason);
    process.on('unhandledRejection', hear);
    let fail = (): void => {};
    const createSession: OrtBackend['createSession'] = () =>
      new Promise((_, reject) => {
        fail = () => reject(new Error('no memory left'));
      });
    const head = headOver(LOGITS, backendWith(ort, { createSession }));
    const run = head.run(SLOTS, { best: true });
    head.dispose();
    fail();
    await expect(run).rejects.toThrow('no memory left');
    await new Promise((resolve) => setTimeout(resolve, 10));
    process.off('unhandledRejection', hear);
    expect(unheard).toEqual([]);
  });

  it.each([
    [49_152, 192],
    [151_936, 128],
    [50_257, 29],
    [261, 9],
    [13, 13],
  ])('cuts a vocabulary of %i into blocks of %i, which divides it', (vocabSize, size) => {
    expect(blockSize(vocabSize)).toBe(size);
  });
});
