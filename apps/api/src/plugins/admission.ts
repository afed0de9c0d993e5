import type { Socket } from 'node:net';
import { type ErrorCode, ShoalError } from '@shoal/protocol';
import type { App } from '../app.ts';
import { onDeparture } from './departure.ts';
import { routePath } from './route-path.ts';

/** The door of this process: how many callers are inside, and whether it is still open. */
export interface Admission {
  /**
   * From now on, every new request is turned away with `unavailable`, and connections end with their answer. Resolves
   * once everybody inside has left, or after `limitMs`.
   */
  close(limitMs: number): Promise<void>;
}

export interface AdmissionOptions {
  /** Callers inside at a time. */
  maxInFlight: number;
  /** Told of everybody who is turned away, with the pattern of the route ('' for none) and the error code. */
  onRefused: (route: string, code: ErrorCode) => void;
}

/** Milliseconds after which a caller who found the door closed, or the house full, may try another replica. */
const RETRY_AFTER_MS = 1000;

/**
 * Turns callers of `/v1/` away before their bodies are read: when the process is shutting down, or when it holds as many
 * of them as it can remember. (The bound on the queue itself is the producer's.)
 */
export function installAdmission(app: App, options: AdmissionOptions): Admission {
  let open = true;
  let inFlight = 0;
  /** Callers inside by their connection: with pipelining one has several. */
  const insideBy = new WeakMap<Socket, number>();
  let onEmpty = (): void => {};
  const refusal = (): ShoalError | undefined => {
    if (!open) {
      return new ShoalError('unavailable', 'this server is shutting down; try again', { retryAfterMs: RETRY_AFTER_MS });
    }
    if (inFlight < options.maxInFlight) return undefined;
    const message = `this server holds ${inFlight} requests already; try again shortly`;
    return new ShoalError('queue_full', message, { retryAfterMs: RETRY_AFTER_MS });
  };
  app.addHook('onRequest', (request, reply, done) => {
    if (!open) reply.header('connection', 'close');
    if (!routePath(request).startsWith('/v1/')) return done();
    const refused = refusal();
    if (refused !== undefined) {
      options.onRefused(request.routeOptions.url ?? '', refused.code);
      return done(refused);
    }
    inFlight += 1;
    const { socket } = request.raw;
    insideBy.set(socket, (insideBy.get(socket) ?? 0) + 1);
    onDeparture(reply.raw, () => {
      inFlight -= 1;
      const others = (insideBy.get(socket) ?? 0) - 1;
      insideBy.set(socket, others);
      // Whoever would send the next request on this connection is to find another server at once.
      if (!open && others === 0) socket.destroySoon();
      if (inFlight === 0) onEmpty();
    });
    done();
  });
  return {
    close(limitMs) {
      open = false;
      return new Promise((resolve) => {
        const limit = setTimeout(resolve, limitMs);
        onEmpty = () => {
          clearTimeout(limit);
          resolve();
        };
        if (inFlight === 0) onEmpty();
      });
    },
  };
}
