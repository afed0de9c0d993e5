import { expect, it } from 'vitest';
import type { Frame, RideFrame, StepRun } from '../service/activity.ts';
import { BatchHistory, MOST_STEPS } from './batch-history.ts';

function frame(step: number, rides: RideFrame[], runs: StepRun[] = [], at = 10_000): Frame {
  const numbers = { at, for_ms: 100, slots: 4, waiting: 0, generated_tokens: 0, first_tokens_ms: [] };
  return { object: 'activity.frame', worker: 'w', step, rides, runs, ...numbers };
}
const decode = (from: number, count: number, rows: number): StepRun => ({ phase: 'decode', from, count, rows });
const after = (...frames: Frame[]): BatchHistory =>
  frames.reduce((history, next) => history.after(next), new BatchHistory('w'));

it('knows who rode in every step, over the borders of frames', () => {
  const history = after(
    frame(3, [{ lane: 0, joined: 1, job_id: 'a' }], [decode(1, 3, 1)]),
    frame(
      6,
      [
        { lane: 0, joined: 1, left: 4, job_id: 'a' },
        { lane: 1, joined: 4, job_id: 'b' },
      ],
      [decode(4, 1, 2), decode(5, 2, 1)],
    ),
  );
  const riders = (step: number) => history.at(step).map(({ job_id }) => job_id);
  expect([1, 3, 4, 5, 6].map(riders)).toEqual([['a'], ['a'], ['a', 'b'], ['b'], ['b']]);
  expect(history.riding.map(({ job_id }) => job_id)).toEqual(['b']);
  expect([history.largestBatch, history.runAt(5)?.rows, history.runAt(7)]).toEqual([2, 1, undefined]);
});

it('makes one run of equal steps that frames cut apart', () => {
  expect(after(frame(3, [], [decode(1, 3, 2)]), frame(5, [], [decode(4, 2, 2)])).runs).toEqual([decode(1, 5, 2)]);
});

it('lets those leave whose end was in a frame that was lost', () => {
  const history = after(frame(3, [{ lane: 0, joined: 1, job_id: 'a' }]), frame(90, []));
  expect(history.rides).toEqual([{ lane: 0, joined: 1, left: 90, job_id: 'a' }]);
  expect(history.at(91)).toEqual([]);
});

it('begins a burst where somebody joined after a pause', () => {
  const burst = after(frame(10, []), frame(14, [{ lane: 0, joined: 11 }]), frame(15, [], [], 10_100));
  expect(burst.burstFrom).toBe(10);
  expect(burst.after(frame(30, [{ lane: 0, joined: 16 }], [], 10_200)).burstFrom).toBe(10);
  expect(burst.after(frame(50, [{ lane: 0, joined: 45 }], [], 12_000)).burstFrom).toBe(44);
});

it('goes on with a burst whose frames were lost for a while', () => {
  const burst = after(frame(10, []), frame(14, [{ lane: 0, joined: 11 }]));
  const later: RideFrame[] = [
    { lane: 0, joined: 11 },
    { lane: 1, joined: 60 },
  ];
  expect(burst.after(frame(90, later, [], 19_000)).burstFrom).toBe(10);
});

it('forgets what is too long ago', () => {
  const history = after(
    frame(
      10,
      [
        { lane: 0, joined: 1, left: 9 },
        { lane: 1, joined: 1 },
      ],
      [decode(1, 10, 2)],
    ),
    frame(2_000, [{ lane: 1, joined: 1 }], [decode(11, 1_989, 1)]),
  );
  expect([history.rides.length, history.runs.length, history.pictured]).toEqual([1, 1, 2_001 - MOST_STEPS]);
});

it('begins anew with a worker that does', () => {
  const history = after(
    frame(500, [{ lane: 0, joined: 400 }], [decode(1, 500, 1)]),
    frame(2, [{ lane: 0, joined: 1 }]),
  );
  expect([history.step, history.runs, history.rides.length]).toEqual([2, [], 1]);
});
