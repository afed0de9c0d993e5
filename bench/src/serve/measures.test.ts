import { expect, test } from 'vitest';
import { isGood, measure } from './measures.ts';
import type { Answered } from './open-loop.ts';

const SLO = { firstTokenMs: 100, perTokenMs: 10 };

function answered(fields: Partial<Answered>): Answered {
  return { scheduledMs: 0, sentMs: 0, partsMs: [], tokens: 11, ...fields };
}

test('waiting counts from the scheduled arrival; what is unanswered waits to the end', () => {
  const records = [
    answered({ scheduledMs: 0, sentMs: 5, partsMs: [50, 60], endMs: 60 }),
    answered({ scheduledMs: 100, sentMs: 100, partsMs: [500], endMs: 500 }),
    answered({ scheduledMs: 200, sentMs: 210 }),
    answered({ scheduledMs: 300, sentMs: 300, error: 'refused' }),
  ];
  const got = measure([{ records, durationMs: 1_000, endMs: 2_000 }], SLO);

  expect(got).toMatchObject({ requests: 4, answered: 2, failed: 1, failure: 'refused', unanswered: 1 });
  expect(got.meanMs).toBeCloseTo((60 + 400 + 1_800) / 3);
  expect(got.p50Ms).toBe(400);
  expect(got.firstP50Ms).toBe(225);
  expect(got.interTokenP50Ms).toBe(10);
  expect(got.latenessMaxMs).toBe(10);
  expect(got.late).toBe(0);
  expect(got.tokensPerSecond).toBe(11);
  expect(got.goodput).toBe(1);
});

test('windows of several rounds are pooled', () => {
  const one = { records: [answered({ partsMs: [10], endMs: 10 })], durationMs: 500, endMs: 500 };
  const two = { records: [answered({ partsMs: [30], endMs: 30 })], durationMs: 500, endMs: 1_500 };
  expect(measure([one, two], SLO)).toMatchObject({ requests: 2, meanMs: 20, goodput: 2, tokensPerSecond: 11 });
});

test('an answer is good when its first token and its pace are, or when it is whole by then', () => {
  expect(isGood(answered({ partsMs: [100, 200], endMs: 200 }), SLO)).toBe(true);
  expect(isGood(answered({ partsMs: [101, 110], endMs: 110 }), SLO)).toBe(false);
  expect(isGood(answered({ partsMs: [50, 151], endMs: 151 }), SLO)).toBe(false);
  expect(isGood(answered({ partsMs: [200], endMs: 200 }), SLO)).toBe(true);
  expect(isGood(answered({ partsMs: [201], endMs: 201 }), SLO)).toBe(false);
  expect(isGood(answered({}), SLO)).toBe(false);
});
