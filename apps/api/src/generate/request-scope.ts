import { setMaxListeners } from 'node:events';
import type { ServerResponse } from 'node:http';
import { ShoalError } from '@shoal/protocol';

/** How long a request is worth working on: until its caller leaves, its deadline passes, or the process must go. */
export interface RequestScope {
  /** Aborted, with a `ShoalError` as its reason, when it is no longer. */
  readonly signal: AbortSignal;
  /** Ends it early, for a reason of one's own. */
  abort(reason: ShoalError): void;
  /**
   * Lets go of timers and listeners, and closes whatever hangs on the signal, unless that is `over` by itself.
   * Idempotent.
   */
  end(over?: boolean): void;
}

/** The worker ends a request at its deadline and says so; past this grace the API says it itself. */
const DEADLINE_GRACE_MS = 250;

/** Made once: an error is costly to make, and every request ends. */
const ENDED = new ShoalError('cancelled', 'the request has ended');

export function openScope(
  response: ServerResponse,
  options: { timeoutMs?: number; shutdown: AbortSignal },
): RequestScope {
  const controller = new AbortController();
  // Every job of the request listens to it.
  setMaxListeners(0, controller.signal);
  const abort = (reason: ShoalError): void => controller.abort(reason);

  const onClose = (): void => {
    if (!response.writableFinished) abort(new ShoalError('cancelled', 'the caller closed the connection'));
  };
  const onShutdown = (): void => {
    abort(
      new ShoalError('unavailable', 'this server is shutting down; follow the job at another one, or try again', {
        retryAfterMs: 1000,
      }),
    );
  };
  const { timeoutMs } = options;
  const onDeadline = (): void => {
    const message = `no complete answer within ${timeoutMs} ms; raise timeout_ms, or submit a job instead`;
    abort(new ShoalError('deadline_exceeded', message));
  };
  const timer = timeoutMs === undefined ? undefined : setTimeout(onDeadline, timeoutMs + DEADLINE_GRACE_MS);

  response.once('close', onClose);
  options.shutdown.addEventListener('abort', onShutdown, { once: true });
  if (options.shutdown.aborted) onShutdown();
  if (response.destroyed) onClose();

  return {
    signal: controller.signal,
    abort,
    end(over = false) {
      clearTimeout(timer);
      response.off('close', onClose);
      options.shutdown.removeEventListener('abort', onShutdown);
      if (!over) controller.abort(ENDED);
    },
  };
}

/** The reason for which a scope was aborted. */
export function reasonOf(signal: AbortSignal): ShoalError {
  if (signal.reason instanceof ShoalError) return signal.reason;
  return new ShoalError('unavailable', 'the answer broke off; try again', { retryAfterMs: 1000 });
}
