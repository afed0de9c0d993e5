import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export interface TcpProxy {
  /** Address of the proxy, as a Redis URL. */
  readonly url: string;
  /** Refuses and cuts everything, as a machine that is down. */
  down(): Promise<void>;
  /** Nothing passes any more on the connections there are, as when a host vanished; new ones get through, as to its heir. */
  vanish(): void;
  /** Accepts again, on the same port. */
  up(): Promise<void>;
  close(): Promise<void>;
}

/** Stands between a client and a real Redis, so that a test can take Redis away and bring it back. */
export async function openTcpProxy(redisUrl: string): Promise<TcpProxy> {
  const target = new URL(redisUrl);
  const sockets = new Set<Socket>();
  let port = 0;
  let server: Server | undefined;
  const up = async (): Promise<void> => {
    const opened = createServer((client) => {
      const upstream = connect(Number(target.port || 6379), target.hostname);
      for (const [socket, other] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        sockets.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => {
          sockets.delete(socket);
          other.destroy();
        });
        socket.pipe(other);
      }
    });
    await new Promise<void>((resolve) => opened.listen(port, '127.0.0.1', resolve));
    port = (opened.address() as AddressInfo).port;
    server = opened;
  };
  const down = async (): Promise<void> => {
    const closing = server;
    server = undefined;
    for (const socket of sockets) socket.destroy();
    if (closing !== undefined) await new Promise<void>((resolve) => closing.close(() => resolve()));
  };
  const vanish = (): void => {
    for (const socket of sockets) socket.unpipe().pause();
  };
  await up();
  return { url: `redis://127.0.0.1:${port}`, up, down, vanish, close: down };
}
