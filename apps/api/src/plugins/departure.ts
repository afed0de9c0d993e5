import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Who waits for the end of a connection: one listener of its own for all of them. */
const waiting = new WeakMap<Socket, Set<() => void>>();

/**
 * Calls `listener` once, when the response has closed or its connection is gone; at once where that was before. Returns
 * what takes it back.
 *
 * A response that waits behind another one on its connection (pipelining) belongs to no socket yet, and Node never tells
 * it that the connection has died.
 */
export function onDeparture(response: ServerResponse, listener: () => void): () => void {
  if (response.destroyed) {
    listener();
    return () => {};
  }
  if (response.socket !== null) {
    response.once('close', listener);
    return () => response.off('close', listener);
  }
  const { socket } = response.req;
  const others = waitingFor(socket);
  const stop = (): void => {
    response.off('close', heard);
    others.delete(heard);
  };
  const heard = (): void => {
    stop();
    listener();
  };
  response.once('close', heard);
  others.add(heard);
  if (socket.destroyed) heard();
  return stop;
}

function waitingFor(socket: Socket): Set<() => void> {
  const known = waiting.get(socket);
  if (known !== undefined) return known;
  const made = new Set<() => void>();
  waiting.set(socket, made);
  socket.once('close', () => {
    for (const heard of made) heard();
  });
  return made;
}
