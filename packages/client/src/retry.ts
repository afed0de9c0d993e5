import { setTimeout as sleep } from 'node:timers/promises';
import { ShoalError } from '@shoal/protocol';
import { throwIfAborted } from './abort.ts';

export interface RetryOptions {
  /** Attempts after the first, in a row without progress, 0 … 20. Default 5. */
  maxRetries?: number | undefined;
}

/** How often and how long to wait between attempts. */
export interface RetryPolicy {
  readonly maxRetries: number;
  /** 0 … 1, for jitter. */
  random(): number;
  sleep(ms: number, signal: AbortSignal | undefined): Promise<void>;
}

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 8_000;
const LONGEST_RETRY_AFTER_MS = 30_000;

export function retryPolicy({ maxRetries = 5 }: RetryOptions): RetryPolicy {
  if (!Number.isInteger(maxRetries) || maxRetries < 0 || maxRetries > 20) {
    throw new ShoalError('invalid_request_error', 'maxRetries must be a whole number from 0 to 20', {
      param: 'maxRetries',
    });
  }
  return {
    maxRetries,
    random: Math.random,
    sleep: pause,
  };
}

/** The timer ends with the call: until it did, a process that is told to stop would stay. */
async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(ms, undefined, signal === undefined ? {} : { signal }).catch(() => throwIfAborted(signal));
}

/** Calls until it succeeds, its failure cannot pass, the retries are used up, or the signal is aborted. */
export async function retrying<T>(
  policy: RetryPolicy,
  signal: AbortSignal | undefined,
  attempt: () => Promise<T>,
): Promise<T> {
  for (let failures = 1; ; failures += 1) {
    throwIfAborted(signal);
    try {
      return await attempt();
    } catch (error) {
      await pauseOrThrow(policy, signal, error, failures);
    }
  }
}

/** Waits before the next attempt, or throws the failure when there shall be none. `failures` counts this one. */
export async function pauseOrThrow(
  policy: RetryPolicy,
  signal: AbortSignal | undefined,
  error: unknown,
  failures: number,
): Promise<void> {
  if (!(error instanceof ShoalError) || !error.retryable || failures > policy.maxRetries) throw error;
  await policy.sleep(pauseMs(policy, error, failures), signal);
}

/** Doubles from 250 ms to 8 s, up to a quarter less by chance; never sooner than the server asked, capped at 30 s. */
function pauseMs(policy: RetryPolicy, { retryAfterMs = 0 }: ShoalError, failures: number): number {
  const backoff = Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), LONGEST_PAUSE_MS) * (1 - policy.random() / 4);
  return Math.max(backoff, Math.min(retryAfterMs, LONGEST_RETRY_AFTER_MS));
}
