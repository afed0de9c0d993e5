import { ShoalError } from '@shoal/protocol';
import { describe, expect, it } from 'vitest';
import { type RetryPolicy, retrying, retryPolicy } from './retry.ts';

function policy(random: number, maxRetries = 8) {
  const pauses: number[] = [];
  const of: RetryPolicy = { maxRetries, random: () => random, sleep: async (ms) => void pauses.push(ms) };
  return { pauses, of };
}

const full = (retryAfterMs?: number) =>
  new ShoalError('queue_full', 'full', retryAfterMs === undefined ? {} : { retryAfterMs });

describe('retrying', () => {
  it('doubles its pauses up to 8 s, up to a quarter less by chance', async () => {
    const { pauses, of } = policy(0, 7);
    await expect(retrying(of, undefined, () => Promise.reject(full()))).rejects.toMatchObject({ code: 'queue_full' });
    expect(pauses).toEqual([250, 500, 1000, 2000, 4000, 8000, 8000]);
    const lucky = policy(1, 1);
    await expect(retrying(lucky.of, undefined, () => Promise.reject(full()))).rejects.toThrow();
    expect(lucky.pauses).toEqual([187.5]);
  });

  it('waits as long as it was told, at most 30 s', async () => {
    const { pauses, of } = policy(0);
    const outcomes = [full(1234), full(90_000)];
    const answer = await retrying(of, undefined, async () => {
      const failure = outcomes.shift();
      if (failure) throw failure;
      return 'taken';
    });
    expect(answer).toBe('taken');
    expect(pauses).toEqual([1234, 30_000]);
  });

  it('does not repeat what would fail again', async () => {
    let attempts = 0;
    const attempt = async () => {
      attempts += 1;
      throw new ShoalError('invalid_request_error', 'no');
    };
    await expect(retrying(policy(0).of, undefined, attempt)).rejects.toMatchObject({ code: 'invalid_request_error' });
    expect(attempts).toBe(1);
  });

  it('stops waiting when aborted', async () => {
    const abort = new AbortController();
    const waiting = retrying(retryPolicy({}), abort.signal, async () => {
      queueMicrotask(() => abort.abort());
      throw full(30_000);
    });
    await expect(waiting).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('keeps no timer of a pause that was aborted: it would keep the process alive', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    const before = timers();
    const abort = new AbortController();
    const pause = retryPolicy({}).sleep(30_000, abort.signal);
    expect(timers()).toBe(before + 1);
    abort.abort();
    expect(timers()).toBe(before);
    await expect(pause).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('refuses a number of retries without bound', () => {
    expect(() => retryPolicy({ maxRetries: Number.POSITIVE_INFINITY })).toThrow(ShoalError);
  });
});
