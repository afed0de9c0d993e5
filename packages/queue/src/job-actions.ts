import { z } from 'zod';
import { type Connect, connector, promptly } from './connection.ts';
import { checkJobId, type ModelKeys, modelKeys } from './keys.ts';
import { parseJson } from './parse-json.ts';
import type { RedisClient } from './redis-address.ts';

/** What an operator does to jobs by hand, beside what BullMQ does for it: Shoal keeps more of a job than BullMQ knows. */
export interface JobActions {
  /**
   * Takes everything off a finished job that its first life left, so that BullMQ's retry begins anew: its token log, what
   * recovery noted, its deadline and its reader, who has had an answer.
   */
  cleanSlate(id: string): Promise<void>;
  /** Drops what is kept beside jobs that BullMQ has removed. */
  forget(ids: readonly string[]): Promise<void>;
  close(): void;
}

export interface JobActionsOptions {
  redisUrl: string;
  /** `QUEUE_PREFIX`. */
  prefix: string;
  model: string;
  /** For tests: how the connection is made. */
  connect?: Connect;
}

export function openJobActions(options: JobActionsOptions): JobActions {
  const redis = (options.connect ?? connector(options.redisUrl))('commands-now');
  return new RedisJobActions(redis, modelKeys(options.prefix, options.model));
}

/** Fields of a job's hash that its first life left; see the table of keys in the README. */
const LEFT_BEHIND = ['base', 'alone', 'suspect', 'deaths', 'cancel', 'risen', 'predicted'].map(
  (name) => `shoal:${name}`,
);
const FORGOTTEN_AT_ONCE = 500;
const Payload = z.looseObject({});

class RedisJobActions implements JobActions {
  readonly #redis: RedisClient;
  readonly #keys: ModelKeys;

  constructor(redis: RedisClient, keys: ModelKeys) {
    this.#redis = redis;
    this.#keys = keys;
  }

  async cleanSlate(id: string): Promise<void> {
    const job = `${this.#keys.bull}${id}`;
    await promptly(this.#redis, async (redis) => {
      const payload = Payload.safeParse(parseJson((await redis.hget(job, 'data')) ?? ''));
      if (payload.success) {
        const { deadline: _, replyTo: __, ...rest } = payload.data;
        await redis.hset(job, 'data', JSON.stringify(rest));
      }
      await redis.hdel(job, ...LEFT_BEHIND);
      await redis.unlink(this.#keys.log(id), this.#keys.readers(id));
    });
  }

  async forget(ids: readonly string[]): Promise<void> {
    const keys = ids.filter(isOurs).flatMap((id) => [this.#keys.log(id), this.#keys.readers(id)]);
    await promptly(this.#redis, async (redis) => {
      for (let from = 0; from < keys.length; from += FORGOTTEN_AT_ONCE) {
        await redis.unlink(...keys.slice(from, from + FORGOTTEN_AT_ONCE));
      }
    });
  }

  close(): void {
    this.#redis.disconnect();
  }
}

/** Ids of foreign jobs may be anything, and have nothing beside them. */
function isOurs(id: string): boolean {
  try {
    checkJobId(id);
    return true;
  } catch {
    return false;
  }
}
