import { setTimeout as sleep } from 'node:timers/promises';
import type { Sent } from './send.ts';

export interface LoadPlan {
  requests: number;
  /** So many on their way at once, each followed by the next one. */
  concurrency?: number;
  /** So many sent per second, evenly, however many are on their way: then `concurrency` counts for nothing. */
  perSecond?: number;
}

/** Told of each request when it has ended. */
export type OnSent = (sent: Sent) => void;

/** Sends the requests; resolves when all are answered, or when the signal is aborted with those that were. */
export async function runLoad(
  { requests, concurrency = 1, perSecond }: LoadPlan,
  sendOne: (index: number) => Promise<Sent>,
  signal: AbortSignal,
  onSent: OnSent,
): Promise<Sent[]> {
  const all: Sent[] = [];
  const one = async (index: number): Promise<void> => {
    const sent = await sendOne(index);
    // What Ctrl-C broke off is no measurement.
    if (signal.aborted && sent.error !== undefined) return;
    all.push(sent);
    onSent(sent);
  };
  if (perSecond !== undefined) {
    const startedAt = performance.now();
    const open: Promise<void>[] = [];
    for (let index = 0; index < requests && !signal.aborted; index++) {
      // By the schedule, not from the one before: a late one does not delay the others.
      const early = startedAt + (index * 1000) / perSecond - performance.now();
      if (early > 0) await sleep(early, undefined, { signal }).catch(() => {});
      if (!signal.aborted) open.push(one(index));
    }
    await Promise.all(open);
    return all;
  }
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < requests && !signal.aborted) {
      next += 1;
      await one(next - 1);
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, requests) }, lane));
  return all;
}
