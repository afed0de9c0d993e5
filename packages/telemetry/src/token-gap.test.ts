import type { EngineFact } from '@shoal/engine';
import { expect, test } from 'vitest';
import { TokenGap } from './token-gap.ts';

const started: EngineFact = { type: 'started', requestId: 'r', waitedMs: 0 };
const finished: EngineFact = {
  ...{ type: 'sequence-finished', requestId: 'r', outcome: 'stop' },
  ...{ promptTokens: 1, generatedTokens: 1 },
};
const sample: EngineFact = { type: 'sample', tokens: 1, wholeRows: 0, durationMs: 1 };
const step = (phase: 'prefill' | 'decode', batchSize: number, durationMs: number): EngineFact => ({
  ...{ type: 'step', phase, batchSize, tokens: 1, paddingTokens: 0, durationMs },
});

function gaps(...facts: EngineFact[]): number[] {
  const gap = new TokenGap();
  return facts.flatMap((fact) => gap.after(fact) ?? []);
}

test('the first token of a lone request is no gap, the next ones are', () => {
  const facts = [started, step('prefill', 1, 50), sample, step('decode', 1, 4), sample, step('decode', 1, 4), sample];
  expect(gaps(...facts)).toEqual([5, 5]);
});

test('a prefill of another request in between is part of the gap', () => {
  const alone = [started, step('prefill', 1, 50), sample, step('decode', 1, 4), sample];
  expect(gaps(...alone, started, step('prefill', 1, 20), sample, step('decode', 2, 4), sample)).toEqual([5, 26]);
});

test('idle time is none', () => {
  const alone = [started, step('prefill', 1, 50), sample, step('decode', 1, 4), sample, finished];
  expect(gaps(...alone, ...alone)).toEqual([5, 5]);
});
