import { type ModelKeys, modelKeys } from '@shoal/queue';
import { Redis } from 'ioredis';

/** What a look into the queue shows. */
export interface QueueLook {
  waiting: number;
  active: number;
}

/**
 * The experimenter's own connection to Redis, past every link: to see bounds and leaks, and to do what only foreign
 * producers and operators do. Nothing that is checked for a request comes from here.
 */
export class RedisProbe {
  readonly redis: Redis;
  readonly keys: ModelKeys;
  readonly prefix: string;

  constructor(redisUrl: string, prefix: string, model: string) {
    this.prefix = prefix;
    this.keys = modelKeys(prefix, model);
    this.redis = new Redis(redisUrl, {
      connectionName: 'chaos',
      retryStrategy: () => 100,
      maxRetriesPerRequest: null,
    });
    this.redis.on('error', () => {});
  }

  async look(): Promise<QueueLook> {
    const { bull } = this.keys;
    const [wait, prioritized, delayed, active] = await Promise.all([
      this.redis.llen(`${bull}wait`),
      this.redis.zcard(`${bull}prioritized`),
      this.redis.zcard(`${bull}delayed`),
      this.redis.llen(`${bull}active`),
    ]);
    return { waiting: wait + prioritized + delayed, active };
  }

  /** How often each job was claimed; 0 for one that nobody has claimed, or that is not there. */
  async claims(ids: readonly string[]): Promise<number[]> {
    const values = await Promise.all(ids.map((id) => this.redis.hget(this.keys.bull + id, 'ats')));
    return values.map((value) => Number(value ?? 0));
  }

  /** Fields of a job that count its misfortunes. */
  async misfortunes(id: string): Promise<{ claims: number; attempts: number; suspected: number; deaths: number }> {
    const [ats, atm, suspect, deaths] = await this.redis.hmget(
      this.keys.bull + id,
      ...['ats', 'atm', 'shoal:suspect', 'shoal:deaths'],
    );
    return {
      claims: Number(ats ?? 0),
      attempts: Number(atm ?? 0),
      suspected: Number(suspect ?? 0),
      deaths: Number(deaths ?? 0),
    };
  }

  async info(field: 'used_memory' | 'connected_clients'): Promise<number> {
    const text = await this.redis.info();
    return Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(text)?.[1] ?? Number.NaN);
  }

  /** Every key, and whether it goes by itself. */
  async allKeys(): Promise<{ key: string; expires: boolean }[]> {
    const keys: string[] = [];
    let cursor = '0';
    do {
      const [next, found] = await this.redis.scan(cursor, 'COUNT', 1_000);
      cursor = next;
      keys.push(...found);
    } while (cursor !== '0');
    const ttls = await Promise.all(keys.map((key) => this.redis.pttl(key)));
    return keys
      .map((key, index) => ({ key, expires: (ttls[index] ?? -1) >= 0 }))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  close(): void {
    this.redis.disconnect();
  }
}
