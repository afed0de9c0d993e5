import type { ServerResponse } from 'node:http';
import { ShoalError } from '@shoal/protocol';
import { onDeparture } from '../plugins/departure.ts';

/** How long a request is worth working on: until its caller leaves, its deadline passes, or the process must go. */
export interface RequestScope {
  /** Why it no longer is; `undefined` while it is. */
  readonly reason: ShoalError | undefined;
  /** The same for those who listen to a signal; aborted with that reason. */
  readonly signal: AbortSignal;
  /** Calls it when the scope is aborted, or at once if it was. */
  onAbort(listener: () => void): void;
  /** Ends it early, for a reason of one's own. */
  abort(reason: ShoalError): void;
  /**
   * Lets go of timers and listeners, and closes whatever hangs on the scope, unless that is `over` by itself.
   * Idempotent.
   */
  end(over?: boolean): void;
}

/** The worker ends a request at its deadline and says so; past this grace the API says it itself. */
const DEADLINE_GRACE_MS = 250;

/** Made once: an error is costly to make, and every request ends. */
const ENDED = new ShoalError('cancelled', 'the request has ended');

/** All scopes of one server, which end with it. */
export class RequestScopes {
  readonly #open: Scope[] = [];
  readonly #shutdown: AbortSignal;

  /** `shutdown` is aborted when what is still in flight must end. */
  constructor(shutdown: AbortSignal) {
    this.#shutdown = shutdown;
    // One listener for all: a signal looks through those that it has whenever one comes or goes.
    shutdown.addEventListener('abort', () => {
      for (const scope of [...this.#open]) scope.abort(shuttingDown());
    });
  }

  open(response: ServerResponse, { timeoutMs }: { timeoutMs?: number } = {}): RequestScope {
    const scope = new Scope(response, timeoutMs, () => this.#remove(scope));
    scope.place = this.#open.push(scope) - 1;
    if (this.#shutdown.aborted) scope.abort(shuttingDown());
    return scope;
  }

  /** The last one takes its place. */
  #remove(scope: Scope): void {
    const { place } = scope;
    if (place === undefined) return;
    scope.place = undefined;
    const last = this.#open.pop();
    if (last === undefined || last === scope) return;
    last.place = place;
    this.#open[place] = last;
  }
}

class Scope implements RequestScope {
  /** Among the open ones, while it is. */
  place: number | undefined;
  reason: ShoalError | undefined;
  readonly #onEnd: () => void;
  /** Listens no more for the departure of the caller. */
  readonly #forgetCaller: () => void;
  readonly #timer: NodeJS.Timeout | undefined;
  #listeners: (() => void)[] = [];
  /** Made when somebody asks for its signal: it is the costliest part of a request's own. */
  #controller: AbortController | undefined;

  constructor(response: ServerResponse, timeoutMs: number | undefined, onEnd: () => void) {
    this.#onEnd = onEnd;
    if (timeoutMs !== undefined) {
      const onDeadline = (): void => this.abort(tooLate(timeoutMs));
      this.#timer = setTimeout(onDeadline, timeoutMs + DEADLINE_GRACE_MS);
    }
    this.#forgetCaller = onDeparture(response, () => {
      if (!response.writableFinished) this.abort(new ShoalError('cancelled', 'the caller closed the connection'));
    });
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.reason !== undefined) this.#controller.abort(this.reason);
    return this.#controller.signal;
  }

  onAbort(listener: () => void): void {
    if (this.reason === undefined) this.#listeners.push(listener);
    else listener();
  }

  abort(reason: ShoalError): void {
    if (this.reason !== undefined) return;
    this.reason = reason;
    this.#controller?.abort(reason);
    for (const listener of this.#listeners.splice(0)) listener();
  }

  end(over = false): void {
    clearTimeout(this.#timer);
    this.#forgetCaller();
    this.#onEnd();
    if (!over) this.abort(ENDED);
  }
}

function shuttingDown(): ShoalError {
  return new ShoalError('unavailable', 'this server is shutting down; follow the job at another one, or try again', {
    retryAfterMs: 1000,
  });
}

function tooLate(timeoutMs: number): ShoalError {
  const message = `no complete answer within ${timeoutMs} ms; raise timeout_ms, or submit a job instead`;
  return new ShoalError('deadline_exceeded', message);
}

/** The reason for which a scope was aborted. */
export function reasonOf({ reason }: Pick<RequestScope, 'reason'>): ShoalError {
  return reason ?? new ShoalError('unavailable', 'the answer broke off; try again', { retryAfterMs: 1000 });
}
