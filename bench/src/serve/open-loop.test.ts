import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Arrival } from './arrivals.ts';
import { openLoop, type Timing } from './open-loop.ts';

/** Time that passes only when everybody waits. */
class SimulatedTime implements Timing {
  #now = 1_000;
  #waiting: { at: number; wake: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  until(ms: number, signal?: AbortSignal): Promise<void> {
    if (ms <= this.#now || signal?.aborted) return Promise.resolve();
    return new Promise((wake) => {
      this.#waiting.push({ at: ms, wake });
      signal?.addEventListener('abort', () => wake());
    });
  }

  async run<T>(work: Promise<T>): Promise<T> {
    let ended = false;
    void work.finally(() => {
      ended = true;
    });
    for (let i = 0; i < 10_000; i++) {
      await turn();
      if (ended) return work;
      this.#waiting.sort((a, b) => a.at - b.at);
      const next = this.#waiting.shift();
      if (next === undefined) throw new Error('nobody waits, and nothing ended');
      this.#now = Math.max(this.#now, next.at);
      next.wake();
    }
    throw new Error('it does not end');
  }
}

function every(ms: number, count: number): Arrival[] {
  return Array.from({ length: count }, (_, i) => ({ atMs: i * ms, prompt: [1], maxTokens: 2 }));
}

test('a stalled server delays nobody: each request is sent when due, and waits from then', async () => {
  const time = new SimulatedTime();
  const stalledUntil = time.now() + 1_000;
  const send = async (_: Arrival, onPart: () => void): Promise<void> => {
    await time.until(stalledUntil);
    onPart();
  };
  const options = { arrivals: every(100, 10), send, timing: time, patienceMs: 5_000, quietMs: 5_000 };
  const answered = await time.run(openLoop(options));

  expect(answered.map(({ sentMs }) => sentMs)).toEqual([0, 100, 200, 300, 400, 500, 600, 700, 800, 900]);
  expect(answered.map(({ endMs = 0, scheduledMs }) => endMs - scheduledMs)).toEqual([
    1000, 900, 800, 700, 600, 500, 400, 300, 200, 100,
  ]);
});

test('what is late in the generator counts as waiting', async () => {
  const time = new SimulatedTime();
  const late: Timing = { now: () => time.now(), until: (ms, signal) => time.until(ms + 30, signal) };
  const send = async (_: Arrival, onPart: () => void): Promise<void> => onPart();
  const loop = openLoop({ arrivals: every(100, 3), send, timing: late, patienceMs: 1_000, quietMs: 1_000 });
  const answered = await time.run(loop);

  expect(answered.map(({ scheduledMs }) => scheduledMs)).toEqual([0, 100, 200]);
  expect(answered.map(({ sentMs }) => sentMs)).toEqual([30, 130, 230]);
  expect(answered.map(({ endMs }) => endMs)).toEqual([30, 130, 230]);
});

test('what is never answered ends with the patience, and what fails says why', async () => {
  const time = new SimulatedTime();
  const send = async (arrival: Arrival, onPart: () => void, signal: AbortSignal): Promise<void> => {
    if (arrival.atMs === 0) return onPart();
    if (arrival.atMs === 100) throw new Error('refused');
    await time.until(Number.POSITIVE_INFINITY, signal);
    throw new Error('aborted');
  };
  const options = { arrivals: every(100, 3), send, timing: time, patienceMs: 4_000, quietMs: 10_000 };
  const [first, second, third] = await time.run(openLoop(options));

  expect(first?.endMs).toBe(0);
  expect(second?.error).toBe('refused');
  expect(third).toEqual({ scheduledMs: 200, sentMs: 200, partsMs: [], tokens: 2 });
  expect(time.now()).toBe(1_000 + 200 + 4_000);
});

test('a server that has fallen silent is not waited for', async () => {
  const time = new SimulatedTime();
  const send = (_: Arrival, __: () => void, signal: AbortSignal): Promise<void> =>
    time.until(Number.POSITIVE_INFINITY, signal);
  const options = { arrivals: every(100, 2), send, timing: time, patienceMs: 60_000, quietMs: 500 };
  await time.run(openLoop(options));
  expect(time.now()).toBe(1_000 + 100 + 500);
});
