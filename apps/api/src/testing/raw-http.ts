import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** Sends bytes as they are, and returns what comes back until the server closes the connection. */
export async function exchange(port: number, bytes: string | Buffer): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  const received = collect(socket);
  socket.write(bytes);
  await once(socket, 'close');
  return received();
}

/** Collects what a socket receives; resets are part of hostile life. */
export function collect(socket: Socket): () => string {
  let received = '';
  socket.on('data', (data) => {
    received += data.toString();
  });
  socket.on('error', () => {});
  return () => received;
}

/** A whole HTTP/1.1 request that asks for the connection to be closed after it. */
export function rawRequest(method: string, path: string, headers: readonly string[] = [], body = ''): string {
  const lines = [`${method} ${path} HTTP/1.1`, 'host: shoal', 'connection: close', ...headers];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}

/** The status of a raw response. */
export function statusOf(response: string): number {
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(response)?.[1]);
}
