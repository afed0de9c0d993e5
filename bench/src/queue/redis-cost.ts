import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { launchRedis } from '../../../scripts/redis.mjs';

/** Rewrites of the append-only file would fall into some samples and not into others. */
const LARGEST_AOF_BYTES = 256 * 2 ** 20;

/** A Redis of its own with AOF everysec, and what it has spent. */
export class MeasuredRedis {
  readonly url: string;
  readonly #admin: Redis;
  readonly #stop: () => Promise<void>;

  private constructor(url: string, stop: () => Promise<void>) {
    this.url = url;
    this.#admin = new Redis(url);
    this.#stop = stop;
  }

  static async launch(): Promise<MeasuredRedis> {
    const running = await launchRedis();
    const redis = new MeasuredRedis(running.url, () => running.stop());
    if (running.source !== 'REDIS_URL') await redis.#admin.config('SET', 'auto-aof-rewrite-percentage', '0');
    return redis;
  }

  /** Redis' own processor time in µs, user and system, of all its threads. */
  async cpuMicros(): Promise<number> {
    const info = await this.#info('cpu');
    return (Number(info.get('used_cpu_user')) + Number(info.get('used_cpu_sys'))) * 1e6;
  }

  /** The version that {@link launch} comes upon. */
  static async version(): Promise<string> {
    const redis = await MeasuredRedis.launch();
    const version = (await redis.#info('server')).get('redis_version');
    await redis.close();
    return version ?? 'unknown';
  }

  /** Removes what was written under a queue's keys, and shortens the append-only file once it is long. */
  async forget({ prefix, model }: { prefix: string; model: string }): Promise<void> {
    const pattern = `{${prefix}:${model}}:*`;
    for (let cursor = ''; cursor !== '0'; ) {
      const [next, keys] = await this.#admin.scan(cursor || '0', 'MATCH', pattern, 'COUNT', 10_000);
      cursor = next;
      if (keys.length > 0) await this.#admin.unlink(...keys);
    }
    const file = await this.#info('persistence');
    if (Number(file.get('aof_current_size') ?? 0) < LARGEST_AOF_BYTES) return;
    await this.#admin.bgrewriteaof();
    do await sleep(50);
    while ((await this.#info('persistence')).get('aof_rewrite_in_progress') !== '0');
  }

  /** Cuts every connection but this one. */
  async dropSockets(): Promise<void> {
    for (const type of ['normal', 'pubsub']) await this.#admin.call('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes');
  }

  async flushScripts(): Promise<void> {
    await this.#admin.script('FLUSH');
  }

  /** The token log of a job: its entries, as JSON. */
  async log({ prefix, model }: { prefix: string; model: string }, id: string): Promise<string[]> {
    const log = await this.#admin.lrange(`{${prefix}:${model}}::tokens:${id}`, 0, -1);
    // Behind each entry stands how long the log is after it.
    return log.filter((_, at) => at % 2 === 0);
  }

  async close(): Promise<void> {
    this.#admin.disconnect();
    await this.#stop();
  }

  async #info(section: string): Promise<Map<string, string>> {
    const lines = (await this.#admin.info(section)).split('\r\n');
    return new Map(lines.map((line) => line.split(':', 2) as [string, string]));
  }
}
