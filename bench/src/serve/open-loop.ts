import { setMaxListeners } from 'node:events';
import type { Arrival } from './arrivals.ts';

/** What one request came to. Times are milliseconds from the start of the window. */
export interface Answered {
  /** When it was to be sent: what its caller waits from, however late the generator is. */
  readonly scheduledMs: number;
  readonly sentMs: number;
  /** When each part of the answer came; whole answers have one. Empty where none came. */
  readonly partsMs: readonly number[];
  /** When the answer was complete; absent where it was not before the end. */
  readonly endMs?: number;
  /** Tokens asked for, all of which an answer has. */
  readonly tokens: number;
  /** Why it failed. */
  readonly error?: string;
}

/** How a request is sent: calls `onPart` with each part of the answer, resolves when it is complete. */
export type Send = (arrival: Arrival, onPart: () => void, signal: AbortSignal) => Promise<void>;

/** What the loop needs of time. */
export interface Timing {
  now(): number;
  /** Resolves at that time of `now`, or a little later; at once where it has passed, or when `signal` is aborted. */
  until(ms: number, signal?: AbortSignal): Promise<void>;
}

export interface OpenLoopOptions {
  readonly arrivals: readonly Arrival[];
  readonly send: Send;
  readonly timing: Timing;
  /** How long after the last arrival it waits for answers. */
  readonly patienceMs: number;
  /** It stops waiting when nothing came for so long: then nobody is computing. */
  readonly quietMs: number;
}

/**
 * Sends every request when it is due, whether or not those before it were answered: a slow server does not slow down
 * its callers. What is unanswered at the end is recorded as such.
 */
export async function openLoop(options: OpenLoopOptions): Promise<Answered[]> {
  const { arrivals, send, timing } = options;
  const start = timing.now();
  const now = (): number => timing.now() - start;
  const over = new AbortController();
  // One per request under way, which may be hundreds.
  setMaxListeners(0, over.signal);
  let lastSign = 0;
  const ask = async (arrival: Arrival): Promise<Answered> => {
    const partsMs: number[] = [];
    const record = { scheduledMs: arrival.atMs, sentMs: now(), partsMs, tokens: arrival.maxTokens };
    const onPart = (): void => {
      lastSign = now();
      partsMs.push(lastSign);
    };
    try {
      await send(arrival, onPart, over.signal);
      return { ...record, endMs: now() };
    } catch (error) {
      if (over.signal.aborted) return record;
      return { ...record, error: error instanceof Error ? error.message : String(error) };
    }
  };
  const asked: Promise<Answered>[] = [];
  for (const arrival of arrivals) {
    await timing.until(start + arrival.atMs);
    lastSign = now();
    asked.push(ask(arrival));
  }
  const all = Promise.all(asked);
  const done = new AbortController();
  void all.then(() => done.abort());
  const end = now() + options.patienceMs;
  while (!done.signal.aborted && now() < end && now() - lastSign < options.quietMs) {
    await timing.until(start + Math.min(end, lastSign + options.quietMs), done.signal);
  }
  over.abort();
  return all;
}
