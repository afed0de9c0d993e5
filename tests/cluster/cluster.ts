import { randomInt, randomUUID } from 'node:crypto';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { AppProcess } from './process.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

export const MODEL_DIRECTORY: string = `${root}models/minnow`;
export const BOARD_USER = 'shoal';
export const BOARD_PASSWORD = 'a-password-for-tests';

export interface ClusterOptions {
  redisUrl: string;
  /** Settings of every process, over the defaults below. */
  env?: Record<string, string>;
  workers?: number;
  apis?: number;
  board?: boolean;
}

export interface ClusterMember {
  process: AppProcess;
  /** Base URL of its health and metrics port. */
  url: string;
}

/** Real processes over a real Redis, with a queue prefix of their own. */
export class Cluster {
  readonly env: Record<string, string>;
  readonly apis: ClusterMember[] = [];
  readonly workers: ClusterMember[] = [];
  readonly #boards: ClusterMember[] = [];

  private constructor(env: Record<string, string>) {
    this.env = env;
  }

  static async start(options: ClusterOptions): Promise<Cluster> {
    const cluster = new Cluster({
      REDIS_URL: options.redisUrl,
      QUEUE_PREFIX: `test-${randomUUID().slice(0, 8)}`,
      MODEL: MODEL_DIRECTORY,
      MODEL_NAME: 'minnow',
      // Tests ask the same things again and want them done again.
      REUSE_ANSWERS: 'false',
      ...options.env,
    });
    try {
      await Promise.all([
        ...Array.from({ length: options.apis ?? 1 }, () => cluster.addApi()),
        ...Array.from({ length: options.workers ?? 1 }, () => cluster.addWorker()),
        ...(options.board ? [cluster.addBoard()] : []),
      ]);
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  /** Base URL of the first API. */
  get url(): string {
    const [api] = this.apis;
    if (api === undefined) throw new Error('this cluster has no API');
    return api.url;
  }

  get prefix(): string {
    return this.env['QUEUE_PREFIX'] ?? '';
  }

  async addApi(env: Record<string, string> = {}): Promise<ClusterMember> {
    const port = await freePort();
    const api = this.#spawn('api', port, { PORT: String(port), ...env });
    this.apis.push(api);
    await api.process.ready(`${api.url}/health/ready`);
    return api;
  }

  async addWorker(env: Record<string, string> = {}): Promise<ClusterMember> {
    const port = await freePort();
    const worker = this.#spawn('worker', port, { METRICS_PORT: String(port), ...env });
    this.workers.push(worker);
    await worker.process.ready(`${worker.url}/health/ready`);
    return worker;
  }

  async addBoard(env: Record<string, string> = {}): Promise<ClusterMember> {
    const port = await freePort();
    const board = this.#spawn('board', port, { BOARD_PORT: String(port), BOARD_USER, BOARD_PASSWORD, ...env });
    this.#boards.push(board);
    await board.process.ready(`${board.url}/health/live`);
    return board;
  }

  /** The first board. */
  get board(): ClusterMember | undefined {
    return this.#boards[0];
  }

  async stop(): Promise<void> {
    const all = [...this.apis, ...this.workers, ...this.#boards];
    await Promise.all(all.map(({ process }) => process.stop()));
  }

  #spawn(app: 'api' | 'worker' | 'board', port: number, env: Record<string, string>): ClusterMember {
    const child = new AppProcess(app, `${root}apps/${app}/dist/main.js`, { ...this.env, ...env });
    return { process: child, url: `http://127.0.0.1:${port}` };
  }
}

/** Ports below those that the kernel gives to connections: one of those may be taken before its process listens. */
const PORTS = { from: 20_000, to: 32_000 };
const TRIES = 50;

async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const port = randomInt(PORTS.from, PORTS.to);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    await new Promise((resolve) => server.close(resolve));
    if (isFree) return port;
  }
  throw new Error('no free port on 127.0.0.1');
}
