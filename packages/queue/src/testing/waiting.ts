import { setTimeout as sleep } from 'node:timers/promises';
import type { ModelQueue } from '../open-queue.ts';

/** Polls until `condition` holds; throws with what was waited for when it does not within `timeoutMs`. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs: number = 10_000,
): Promise<void> {
  const until = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > until) throw new Error(`waited ${timeoutMs} ms in vain for: ${what}`);
    await sleep(10);
  }
}

/** Resolves when both of a queue's connections answer: a busy machine may take longer to make them than a caller waits. */
export async function connected({ ready, producer }: Pick<ModelQueue, 'ready' | 'producer'>): Promise<void> {
  await eventually('the queue is connected', () =>
    Promise.all([ready(), producer.depth()]).then(
      () => true,
      () => false,
    ),
  );
}

/** What `promise` gives, or an error after `timeoutMs`: no test waits for ever. */
export async function soon<T>(what: string, promise: Promise<T>, timeoutMs: number = 10_000): Promise<T> {
  const controller = new AbortController();
  const timeout = sleep(timeoutMs, undefined, { signal: controller.signal }).then(
    () => Promise.reject(new Error(`waited ${timeoutMs} ms in vain for: ${what}`)),
    () => new Promise<never>(() => {}),
  );
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    controller.abort();
  }
}

/** Everything an iteration yields. */
export async function all<T>(what: string, events: AsyncIterable<T>, timeoutMs?: number): Promise<T[]> {
  const collect = async (): Promise<T[]> => {
    const seen: T[] = [];
    for await (const event of events) seen.push(event);
    return seen;
  };
  return await soon(what, collect(), timeoutMs);
}
