import type { EngineFact } from '@shoal/engine';
import { ActivityFrame } from '@shoal/protocol';
import { beforeEach, expect, it } from 'vitest';
import { ActivityRecorder } from './activity-recorder.ts';

let recorder: ActivityRecorder;
let now = 0;
beforeEach(() => {
  now = 1_000;
  const stats = () => ({ waiting: 5, slots: 4 });
  recorder = new ActivityRecorder({ worker: 'w', stats, now: () => now });
});

const joined = (requestId: string, choice = 0): EngineFact => ({ type: 'joined', requestId, choice });
const left = (requestId: string, choice = 0): EngineFact => ({ type: 'left', requestId, choice });
const step = (phase: 'prefill' | 'decode', batchSize: number): EngineFact => ({
  ...{ type: 'step', phase, batchSize, tokens: batchSize, paddingTokens: 0, durationMs: 1 },
});
const sampled = (tokens: number): EngineFact => ({ type: 'sample', tokens, wholeRows: 0, durationMs: 1 });

function tell(...facts: EngineFact[]): void {
  for (const fact of facts) recorder.record(fact);
}

it('tells who rode in which lane from which step to which, and joins equal steps', () => {
  recorder.begin();
  tell(joined('a'), joined('b'), step('prefill', 2), sampled(2), step('decode', 2), step('decode', 2), left('a'));
  tell(joined('c'), step('prefill', 1), step('decode', 2));
  now = 1_100;
  expect(recorder.take()).toEqual({
    ...{ v: 1, worker: 'w', at: 1_100, forMs: 100, slots: 4, waiting: 5, step: 5, generatedTokens: 2 },
    firstTokensMs: [],
    runs: [
      { phase: 'prefill', from: 1, count: 1, rows: 2 },
      { phase: 'decode', from: 2, count: 2, rows: 2 },
      { phase: 'prefill', from: 4, count: 1, rows: 1 },
      { phase: 'decode', from: 5, count: 1, rows: 2 },
    ],
    rides: [
      { lane: 0, jobId: 'a', joined: 1, left: 3 },
      { lane: 0, jobId: 'c', joined: 4 },
      { lane: 1, jobId: 'b', joined: 1 },
    ],
  });
});

it('knows who rides when somebody begins to watch, and nothing of what was before', () => {
  tell(joined('gone'), joined('here'), step('prefill', 2), sampled(2), left('gone'));
  recorder.begin();
  expect(recorder.take()).toMatchObject({
    step: 1,
    runs: [],
    rides: [{ lane: 1, jobId: 'here', joined: 1 }],
    generatedTokens: 0,
  });
});

it('says whose a job is, and how long its first token took from the queue', () => {
  const request = { v: 1 as const, prompt: 'x', params: { temperature: 1, topP: 1, topK: 0, stop: [] } };
  recorder.begin();
  recorder.claimed({ id: 'a', queuedAt: 700, request: { ...request, tenant: 'acme' } });
  tell(joined('a'), step('prefill', 1), { type: 'first-token', requestId: 'a', afterMs: 1 });
  expect(recorder.take()).toMatchObject({ rides: [{ jobId: 'a', tenant: 'acme' }], firstTokensMs: [300] });
});

it('tells the answers of one request apart', () => {
  recorder.begin();
  tell(joined('a'), step('prefill', 1), joined('a', 1), step('decode', 2), left('a', 0), step('decode', 1));
  expect(recorder.take()?.rides).toEqual([
    { lane: 0, jobId: 'a', joined: 1, left: 2 },
    { lane: 1, jobId: 'a', choice: 1, joined: 2 },
  ]);
});

it('has nothing to tell while nothing happens, but says each second that it is there', () => {
  recorder.begin();
  expect(recorder.take()).toMatchObject({ step: 0 });
  now += 999;
  expect(recorder.take()).toBeUndefined();
  now += 1;
  expect(recorder.take()).toMatchObject({ step: 0, rides: [], forMs: 1_000 });
});

it('keeps a frame small however much happens before it is taken', () => {
  recorder.begin();
  for (let n = 0; n < 5_000; n++) tell(joined(`r${n}`), step('prefill', 1), step('decode', 1), left(`r${n}`));
  const frame = ActivityFrame.parse(recorder.take());
  expect([frame.step, frame.runs.length, frame.rides.length]).toEqual([10_000, 256, 512]);
  expect(frame.rides.at(-1)).toMatchObject({ jobId: 'r4999', left: 10_000 });
});
