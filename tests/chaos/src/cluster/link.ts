import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * The network between one process and Redis: a TCP proxy whose faults a test decides. What a process sees through it is
 * what it sees of a network: connections refused and reset, bytes that come late, bytes that do not come at all.
 */
export class Link {
  readonly #target: { host: string; port: number };
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;
  #delayMs = 0;
  #stalled = false;

  private constructor(target: { host: string; port: number }) {
    this.#target = target;
  }

  static async open(redisUrl: string): Promise<Link> {
    const { hostname, port } = new URL(redisUrl);
    const link = new Link({ host: hostname, port: Number(port || 6379) });
    await link.#listen();
    return link;
  }

  /** Where the process finds Redis. */
  get url(): string {
    return `redis://127.0.0.1:${this.#port}`;
  }

  /** Every connection is reset, and new ones are refused, until `heal`. */
  async cut(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const socket of this.#sockets) socket.resetAndDestroy();
    if (server !== undefined) await new Promise((resolve) => server.close(resolve));
  }

  /** Every connection is reset; new ones are accepted at once. */
  drop(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Connections stay open and nothing passes, until `heal`: a cable pulled, a route lost. */
  stall(): void {
    this.#stalled = true;
    for (const socket of this.#sockets) socket.pause();
  }

  /** Every piece of data comes this much later, until `heal`. */
  delay(ms: number): void {
    this.#delayMs = ms;
  }

  async heal(): Promise<void> {
    this.#delayMs = 0;
    this.#stalled = false;
    for (const socket of this.#sockets) socket.resume();
    if (this.#server === undefined) await this.#listen();
  }

  async close(): Promise<void> {
    await this.cut();
  }

  async #listen(): Promise<void> {
    const server = createServer((client) => {
      const upstream = connect(this.#target.port, this.#target.host);
      this.#forward(client, upstream);
      this.#forward(upstream, client);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#port, '127.0.0.1', resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  /** Pieces keep their order, however late each one is. */
  #forward(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.setNoDelay(true);
    if (this.#stalled) from.pause();
    let late = 0;
    let behind: Promise<void> = Promise.resolve();
    const pass = async (piece: Buffer, due: number): Promise<void> => {
      const left = due - performance.now();
      if (left > 1) await sleep(left);
      late -= 1;
      if (!to.destroyed) to.write(piece);
    };
    from.on('data', (piece: Buffer) => {
      if (this.#delayMs === 0 && late === 0) {
        if (to.writable) to.write(piece);
        return;
      }
      late += 1;
      const due = performance.now() + this.#delayMs;
      behind = behind.then(() => pass(piece, due));
    });
    from.on('error', () => {});
    from.on('close', () => {
      this.#sockets.delete(from);
      void behind.then(() => to.destroy());
    });
  }
}
