import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { launchRedis, type RunningRedis } from '../../../../scripts/redis.mjs';
import type { Timeline } from '../ledger/timeline.ts';
import { Link } from './link.ts';
import { Member } from './member.ts';
import { RedisProbe } from './redis-probe.ts';
import { RedisWitness } from './redis-witness.ts';

const ROOT = new URL('../../../../', import.meta.url);
const SERVED_WITHIN_MS = 60_000;
const PRELOAD = new URL('../../preload/faults.mjs', import.meta.url).href;

export const MODEL = 'minnow';
/** A prompt that holds this kills the worker that computes it. One token: chunks of the prompt may cut a longer one. */
export const POISON = '~';

export interface ClusterOptions {
  apis: number;
  workers: number;
  board: boolean;
  /** Settings of every process, over the defaults below. */
  env: Readonly<Record<string, string>>;
  /** By how much the preload slows every step of the engine. */
  stepDelayMs: number;
  timeline: Timeline;
}

/** Real processes from the built apps, each with a network link of its own to a Redis with an append-only file. */
export class ChaosCluster {
  readonly redis: RunningRedis;
  readonly probe: RedisProbe;
  readonly #witness: RedisWitness;
  readonly apis: Member[] = [];
  readonly workers: Member[] = [];
  board: Member | undefined;
  readonly folder: string;
  readonly #options: ClusterOptions;
  readonly #env: Readonly<Record<string, string>>;
  /** Nothing outlives whoever plays chaos. */
  readonly #onExit = (): void => {
    for (const member of this.members) member.signal('SIGKILL');
  };

  private constructor(options: ClusterOptions, redis: RunningRedis) {
    this.#options = options;
    this.redis = redis;
    this.folder = mkdtempSync(join(tmpdir(), 'shoal-chaos-'));
    const prefix = `chaos-${randomUUID().slice(0, 8)}`;
    this.#env = {
      LOG_LEVEL: 'info',
      QUEUE_PREFIX: prefix,
      MODEL: fileURLToPath(new URL('models/minnow', ROOT)),
      MODEL_NAME: MODEL,
      INTRA_OP_THREADS: '1',
      ...options.env,
    };
    this.probe = new RedisProbe(redis.url, prefix, MODEL);
    this.#witness = new RedisWitness(redis.url);
  }

  static async start(options: ClusterOptions): Promise<ChaosCluster> {
    // One that may be killed, whatever else this environment has.
    delete process.env['REDIS_URL'];
    const redis = await launchRedis();
    if (redis.pid === undefined) {
      await redis.stop();
      throw new Error('chaos stops and kills its Redis, which needs a redis-server binary on this machine, not docker');
    }
    const cluster = new ChaosCluster(options, redis);
    process.once('exit', cluster.#onExit);
    try {
      for (let i = 1; i <= options.apis; i++) cluster.apis.push(await cluster.#launch('api', `api-${i}`));
      for (let i = 1; i <= options.workers; i++) cluster.workers.push(await cluster.#launch('worker', `worker-${i}`));
      if (options.board) cluster.board = await cluster.#launch('board', 'board');
      await Promise.all(cluster.members.map((member) => member.ready()));
      await cluster.#served();
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  get members(): Member[] {
    return [...this.apis, ...this.workers, ...(this.board === undefined ? [] : [this.board])];
  }

  /** Everything whole again: nothing cut, nothing stopped, everybody ready. */
  async heal(): Promise<void> {
    await Promise.all(this.members.map((member) => member.link.heal()));
    for (const member of this.members) member.signal('SIGCONT');
    await Promise.all(this.members.map((member) => member.ready()));
    await this.#served();
  }

  /** SIGKILL of Redis, and a start from its append-only file after `downMs`; the timeline is told what that may have cost. */
  async crashRedis(downMs: number): Promise<void> {
    this.#witness.pause();
    const assess = this.#options.timeline.crash();
    await this.redis.kill();
    const diedAt = Date.now();
    await sleep(downMs);
    await this.redis.restart();
    assess(await this.#witness.resume(), diedAt);
  }

  /** Ends everything; the folder with the logs goes too, unless it is to be looked at. */
  async stop({ keepLogs = false }: { keepLogs?: boolean } = {}): Promise<void> {
    process.removeListener('exit', this.#onExit);
    await Promise.allSettled(this.members.map((member) => member.stop()));
    this.probe.close();
    this.#witness.close();
    await this.redis.stop();
    if (!keepLogs) rmSync(this.folder, { recursive: true, force: true });
  }

  /** Both APIs know the model. */
  async #served(): Promise<void> {
    const until = Date.now() + SERVED_WITHIN_MS;
    for (const api of this.apis) {
      while (!(await listsModel(api.url))) {
        if (Date.now() > until) throw new Error(`${api.name} lists no ${MODEL} after ${SERVED_WITHIN_MS / 1000} s`);
        await sleep(50);
      }
    }
  }

  async #launch(app: 'api' | 'worker' | 'board', name: string): Promise<Member> {
    const port = String(await freePort());
    const link = await Link.open(this.redis.url);
    const folder = join(this.folder, name);
    const own = {
      api: { PORT: port },
      worker: {
        METRICS_PORT: port,
        CHAOS_CONTROL: folder,
        CHAOS_POISON: POISON,
        CHAOS_STEP_DELAY_MS: String(this.#options.stepDelayMs),
      },
      board: { BOARD_PORT: port, BOARD_PASSWORD: 'a-password-for-chaos' },
    }[app];
    return new Member({
      name,
      app,
      main: fileURLToPath(new URL(`apps/${app}/dist/main.js`, ROOT)),
      nodeArgs: app === 'worker' ? ['--import', PRELOAD] : [],
      env: { ...this.#env, REDIS_URL: link.url, ...own },
      url: `http://127.0.0.1:${port}`,
      readyPath: app === 'board' ? '/health/live' : '/health/ready',
      link,
      folder,
      timeline: this.#options.timeline,
    });
  }
}

async function listsModel(url: string): Promise<boolean> {
  const models = fetch(`${url}/v1/models`, { signal: AbortSignal.timeout(2_000) });
  return (await models.then((response) => response.text()).catch(() => '')).includes(`"${MODEL}"`);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no free port on 127.0.0.1');
  return address.port;
}
