import { setImmediate } from 'node:timers/promises';
import { type GenerateResult, ShoalError } from '@shoal/protocol';
import { describe, expect, it } from 'vitest';
import { type BatchOutcome, type RunOne, runBatch } from './batch.ts';
import type { ShoalRequest } from './request.ts';

const result = (text: string) => ({ text }) as GenerateResult;
const echo: RunOne = async ({ prompt = '' }, _signal, told) => {
  told.accepted(`id-${prompt}`);
  told.tokens(1);
  if (prompt === 'bad') throw new ShoalError('worker_lost', 'gone');
  return result(prompt);
};

async function all(batch: AsyncIterable<BatchOutcome>): Promise<BatchOutcome[]> {
  const outcomes: BatchOutcome[] = [];
  for await (const outcome of batch) outcomes.push(outcome);
  return outcomes;
}

describe('runBatch', () => {
  it('tells of each request what became of it', async () => {
    const outcomes = await all(runBatch(echo, [{ prompt: 'a' }, { prompt: 'bad' }], { concurrency: 1 }));
    expect(outcomes).toMatchObject([
      { index: 0, id: 'id-a', result: { text: 'a' } },
      { index: 1, id: 'id-bad', error: { code: 'worker_lost' } },
    ]);
  });

  it('reads no further than it may run', async () => {
    const release: (() => void)[] = [];
    const wait: RunOne = ({ prompt = '' }) =>
      new Promise((resolve) => {
        release.push(() => resolve(result(prompt)));
      });
    const requests = Array.from({ length: 10 }, (_, index) => ({ prompt: String(index) }));
    const batch = runBatch(wait, requests, { concurrency: 2 });
    const first = batch.next();
    await setImmediate();
    expect(release).toHaveLength(2);
    release[1]?.();
    expect((await first).value).toMatchObject({ index: 1 });
    const rest = all(batch);
    for (let released = 0; released < 10; released += 1) {
      while (release[released] === undefined) await setImmediate();
      release[released]?.();
    }
    expect(await rest).toHaveLength(9);
  });

  it('stops what runs when it is left, and when it is aborted', async () => {
    const signals: AbortSignal[] = [];
    const hang: RunOne = ({ prompt }, signal) => {
      signals.push(signal);
      return prompt === 'first' ? Promise.resolve(result('')) : new Promise(() => {});
    };
    for await (const _ of runBatch(hang, [{ prompt: 'first' }, { prompt: 'second' }], {})) break;
    expect(signals.map(({ aborted }) => aborted)).toContain(true);

    const abort = new AbortController();
    const reading = all(runBatch(hang, [{ prompt: 'second' }], { signal: abort.signal }));
    abort.abort();
    await expect(reading).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('ends with what is no refusal, of a request or of whoever brings them', async () => {
    const broken: RunOne = () => Promise.reject(new TypeError('a bug'));
    await expect(all(runBatch(broken, [{ prompt: 'a' }], {}))).rejects.toThrow(new TypeError('a bug'));
    const unreadable = async function* () {
      yield { prompt: 'a' };
      throw new TypeError('a bad line');
    };
    await expect(all(runBatch(echo, unreadable(), {}))).rejects.toThrow(new TypeError('a bad line'));
  });

  it('closes the source that it leaves, as a loop over it would', async () => {
    const told: string[] = [];
    const source = async function* () {
      try {
        for (;;) yield { prompt: 'a' };
      } finally {
        await setImmediate();
        told.push('closed');
      }
    };
    for await (const _ of runBatch(echo, source(), { concurrency: 1 })) break;
    expect(told).toEqual(['closed']);

    const broken: RunOne = () => Promise.reject(new TypeError('a bug'));
    await expect(all(runBatch(broken, source(), { concurrency: 1 }))).rejects.toThrow('a bug');
    expect(told).toEqual(['closed', 'closed']);
  });

  it('neither waits for a source that is asked for more, nor minds how it closes', async () => {
    let closed = 0;
    const source: AsyncIterable<ShoalRequest> = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => {}),
        return: () => {
          closed += 1;
          return Promise.reject(new Error('not now'));
        },
      }),
    };
    const abort = new AbortController();
    const reading = all(runBatch(echo, source, { signal: abort.signal }));
    abort.abort();
    await expect(reading).rejects.toMatchObject({ code: 'cancelled' });
    expect(closed).toBe(1);
  });

  it('does not close a source that has ended, or failed', async () => {
    let closed = 0;
    const ending = (end: () => IteratorResult<ShoalRequest>): Iterable<ShoalRequest> => ({
      [Symbol.iterator]: () => ({
        next: end,
        return: () => {
          closed += 1;
          return { done: true, value: undefined };
        },
      }),
    });
    expect(
      await all(
        runBatch(
          echo,
          ending(() => ({ done: true, value: undefined })),
          {},
        ),
      ),
    ).toEqual([]);
    const fails = () => {
      throw new TypeError('a bad line');
    };
    await expect(all(runBatch(echo, ending(fails), {}))).rejects.toThrow('a bad line');
    expect(closed).toBe(0);
  });

  it('leaves nothing behind, at each outcome, with the requests that go on', async () => {
    const some: RunOne = ({ prompt }) => (prompt === 'slow' ? new Promise(() => {}) : Promise.resolve(result('')));
    const requests = [...Array(60).fill({ prompt: 'slow' }), ...Array(200).fill({ prompt: 'quick' })];
    const batch = runBatch(some, requests, { concurrency: 61 });
    const listeners = await listenersDuring(async () => {
      for (let outcomes = 0; outcomes < 200; outcomes += 1) await batch.next();
    });
    expect(listeners).toBeLessThan(20 * requests.length);
    await batch.return();
  });

  it('refuses a concurrency without bound', async () => {
    await expect(all(runBatch(echo, [], { concurrency: 5000 }))).rejects.toMatchObject({ param: 'concurrency' });
  });
});

/** How often something listens to a promise, apart from `await`. */
async function listenersDuring(work: () => Promise<void>): Promise<number> {
  const { then } = Promise.prototype;
  let calls = 0;
  Object.defineProperty(Promise.prototype, 'then', {
    ...{ configurable: true, writable: true },
    value(this: Promise<unknown>, ...listeners: Parameters<typeof then>) {
      calls += 1;
      return then.apply(this, listeners);
    },
  });
  try {
    await work();
    return calls;
  } finally {
    Object.defineProperty(Promise.prototype, 'then', { configurable: true, writable: true, value: then });
  }
}
