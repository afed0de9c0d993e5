import { createHash } from 'node:crypto';
import type { RedisClient } from './redis-address.ts';

/** A Lua script, called by its hash; its text is sent only when Redis does not know it. */
export class Script {
  readonly name: string;
  readonly text: string;
  readonly #sha: string;

  constructor(name: string, text: string) {
    this.name = name;
    this.text = text;
    this.#sha = createHash('sha1').update(text).digest('hex');
  }

  /** `key` is any key of the model's slot: it routes the call on a Redis Cluster. */
  async run(redis: RedisClient, key: string, args: readonly (string | number)[]): Promise<unknown> {
    try {
      return await redis.evalsha(this.#sha, 1, key, ...args);
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
      return await redis.eval(this.text, 1, key, ...args);
    }
  }
}
