import { setTimeout as sleep } from 'node:timers/promises';
import { ShoalError } from '@shoal/protocol';
import type { PullListener } from './pull-event.ts';

/** A failure that may pass by itself. */
export class TransientError extends Error {
  override readonly name = 'TransientError';
  /** What the server asked to wait, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, options: ErrorOptions & { retryAfterMs?: number | undefined } = {}) {
    super(message, options);
    this.retryAfterMs = options.retryAfterMs;
  }
}

export interface RetryOptions {
  /** What is tried, for messages. */
  what: string;
  tell: PullListener;
  signal: AbortSignal | undefined;
  /** Resolves after so many milliseconds. */
  pause?: ((ms: number, signal: AbortSignal | undefined) => Promise<void>) | undefined;
  /** Tries in a row that bring nothing. Default 6. */
  attempts?: number | undefined;
}

const ATTEMPTS = 6;
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 60_000;

/**
 * Tries until it works, with growing pauses. `work` may say by `advanced()` that it got further: the count begins anew.
 *
 * @throws ShoalError `unavailable` when too many tries in a row brought nothing
 */
export async function withRetries<T>(options: RetryOptions, work: (advanced: () => void) => Promise<T>): Promise<T> {
  const { what, tell, signal, pause = pauseFor, attempts = ATTEMPTS } = options;
  let attempt = 0;
  for (;;) {
    try {
      return await work(() => {
        attempt = 0;
      });
    } catch (cause) {
      signal?.throwIfAborted();
      if (!(cause instanceof TransientError)) throw cause;
      attempt += 1;
      if (attempt >= attempts) {
        const message = `${what}: ${cause.message}; check the network and HF_ENDPOINT, then try again`;
        throw new ShoalError('unavailable', message, { cause });
      }
      const delayMs = cause.retryAfterMs ?? FIRST_DELAY_MS * 2 ** (attempt - 1);
      tell({ type: 'retry', what, attempt, reason: cause.message, delayMs: Math.min(delayMs, LONGEST_DELAY_MS) });
      await pause(Math.min(delayMs, LONGEST_DELAY_MS), signal);
    }
  }
}

async function pauseFor(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(ms, undefined, signal === undefined ? {} : { signal });
}
