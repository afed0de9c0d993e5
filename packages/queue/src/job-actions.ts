import { z } from 'zod';
import { type Connect, connector, promptly } from './connection.ts';
import { checkJobId, type ModelKeys, modelKeys } from './keys.ts';
import { CLEAN_SLATE } from './lua/clean-slate.ts';
import { parseJson } from './parse-json.ts';
import type { RedisClient } from './redis-address.ts';

/** What an operator does to jobs by hand, beside what BullMQ does for it: Shoal keeps more of a job than BullMQ knows. */
export interface JobActions {
  /**
   * Takes everything off a finished job that its first life left, so that BullMQ's retry begins anew: its token log, what
   * recovery noted, its deadline and its reader, who has had an answer. One that waits or runs stays as it is.
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
    const { bull, own } = this.#keys;
    await promptly(this.#redis, async (redis) => {
      const payload = Payload.safeParse(parseJson((await redis.hget(`${bull}${id}`, 'data')) ?? ''));
      const { deadline: _, replyTo: __, ...rest } = payload.data ?? {};
      // Written as JSON here: Lua would make an object of an empty array.
      await CLEAN_SLATE.run(redis, bull, [bull, own, id, payload.success ? JSON.stringify(rest) : '']);
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
