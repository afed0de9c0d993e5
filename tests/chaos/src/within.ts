import { setTimeout as sleep } from 'node:timers/promises';

/** Waits for `done`, but no longer than `limitMs`; says whether it came in time. Rejects when `done` does. */
export async function within(limitMs: number, done: Promise<unknown>): Promise<boolean> {
  const limit = new AbortController();
  try {
    return await Promise.race([
      done.then(() => true),
      sleep(limitMs, false, { signal: limit.signal }).catch(() => false),
    ]);
  } finally {
    limit.abort();
  }
}
