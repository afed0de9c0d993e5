import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';

const EVERY_MS = 20;
const KEY = 'chaos-witness';

/**
 * Sees how much a crash took from Redis. With `appendfsync everysec`, Redis may acknowledge a write before the file has it,
 * and then lose it when it is killed. But the file is one sequence, of which a crash takes the end: when a write survives,
 * so does whatever was acknowledged before that write was sent. The witness writes the time, again and again.
 */
export class RedisWitness {
  readonly #redis: Redis;
  #writing = false;
  #closed = false;

  constructor(redisUrl: string) {
    this.#redis = new Redis(redisUrl, {
      connectionName: 'chaos-witness',
      retryStrategy: () => 100,
      // A write that is sent again after the crash would hide what became of it.
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
    });
    this.#redis.on('error', () => {});
    void this.#write();
  }

  /** Writes nothing from now on, so that what was written last can be read after the crash. */
  pause(): void {
    this.#writing = false;
  }

  /** Asks the Redis that came back: what it had acknowledged before this time, in Unix milliseconds, it still has. */
  async resume(): Promise<number> {
    while (!this.#closed) {
      try {
        const survivor = await this.#redis.get(KEY);
        void this.#write();
        return Number(survivor ?? 0);
      } catch {
        await sleep(EVERY_MS);
      }
    }
    return 0;
  }

  close(): void {
    this.#closed = true;
    this.#writing = false;
    this.#redis.disconnect();
  }

  async #write(): Promise<void> {
    if (this.#writing) return;
    this.#writing = true;
    while (this.#writing) {
      await this.#redis.set(KEY, Date.now()).catch(() => {});
      await sleep(EVERY_MS);
    }
  }
}
