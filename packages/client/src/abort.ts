import { ShoalError } from '@shoal/protocol';

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw cancelledBy(signal);
}

/** The promise's outcome, or `cancelled` as soon as the signal is aborted. */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(cancelledBy(signal));
    signal.addEventListener('abort', onAbort);
  });
  try {
    throwIfAborted(signal);
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
    // Whichever of the two comes too late has nobody to tell.
    promise.catch(() => {});
    aborted.catch(() => {});
  }
}

/** Waits for the promise's end, whatever it is, but no longer than so many milliseconds. */
export async function atMost(limitMs: number, promise: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limitMs);
  });
  try {
    await Promise.race([promise.catch(() => {}), late]);
  } finally {
    clearTimeout(timer);
  }
}

function cancelledBy(signal: AbortSignal): ShoalError {
  return new ShoalError('cancelled', 'the caller aborted the call', { cause: signal.reason });
}
