import type { EngineFact } from '@shoal/engine';
import { expect, test } from 'vitest';
import { TokenGap } from './token-gap.ts';

// In the order in which the engine tells them.
const joined: EngineFact = { type: 'joined', requestId: 'r', choice: 0 };
const started: EngineFact[] = [joined, { type: 'started', requestId: 'r', waitedMs: 0 }];
const ended: EngineFact = {
  ...{ type: 'sequence-finished', requestId: 'r', outcome: 'stop' },
  ...{ promptTokens: 1, generatedTokens: 1 },
};
const finished: EngineFact[] = [{ type: 'left', requestId: 'r', choice: 0 }, ended];
const sample: EngineFact = { type: 'sample', tokens: 1, wholeRows: 0, durationMs: 1 };
const step = (phase: 'prefill' | 'decode', batchSize: number, durationMs: number): EngineFact => ({
  ...{ type: 'step', phase, batchSize, tokens: 1, paddingTokens: 0, durationMs },
});

function gaps(...facts: EngineFact[]): number[] {
  const gap = new TokenGap();
  return facts.flatMap((fact) => gap.after(fact) ?? []);
}

test('the first token of a lone request is no gap, the next ones are', () => {
  const facts = [
    ...started,
    step('prefill', 1, 50),
    sample,
    step('decode', 1, 4),
    sample,
    step('decode', 1, 4),
    sample,
  ];
  expect(gaps(...facts)).toEqual([5, 5]);
});

test('a prefill of another request in between is part of the gap', () => {
  const alone = [...started, step('prefill', 1, 50), sample, step('decode', 1, 4), sample];
  expect(gaps(...alone, ...started, step('prefill', 1, 20), sample, step('decode', 2, 4), sample)).toEqual([5, 26]);
});

test('idle time is none', () => {
  const alone = [...started, step('prefill', 1, 50), sample, step('decode', 1, 4), sample, ...finished];
  expect(gaps(...alone, ...alone)).toEqual([5, 5]);
});

const decoding = [...started, step('prefill', 1, 50), sample, step('decode', 1, 4), sample];
const behindAnother = [...started, step('prefill', 1, 20), sample, step('decode', 2, 4), sample];

test('requests that are cancelled while they wait hide no prefill from the gap', () => {
  const cancelled: EngineFact = { ...ended, outcome: 'abort' };
  expect(gaps(...decoding, cancelled, ...behindAnother)).toEqual([5, 26]);
});

test('a prefill of several choices is a gap for the request that decodes', () => {
  const second: EngineFact = { type: 'joined', requestId: 'r', choice: 1 };
  expect(gaps(...decoding, ...started, second, step('prefill', 2, 20), sample, step('decode', 3, 4), sample)).toEqual([
    5, 26,
  ]);
});

test('who lost its place to another waits for no token', () => {
  const preempted: EngineFact[] = [{ type: 'left', requestId: 'r', choice: 0 }];
  const replayed = [joined, step('prefill', 1, 30), sample, step('decode', 1, 4), sample];
  expect(gaps(...decoding, ...preempted, ...replayed)).toEqual([5, 5]);
});
