import type { ModelKeys } from './keys.ts';
import type { RedisClient } from './redis-address.ts';

/**
 * Hears the ids of cancelled jobs the moment they are cancelled. A message lost with the connection is no loss: the
 * mark on the job is seen at the next step that writes for it, at the latest after a second.
 */
export class CancelListener {
  readonly #redis: RedisClient;

  constructor(redis: RedisClient, keys: ModelKeys, onCancelled: (jobId: string) => void) {
    this.#redis = redis;
    redis.on('message', (_channel: string, jobId: string) => onCancelled(jobId));
    redis.on('ready', () => void redis.subscribe(keys.cancelChannel).catch(() => {}));
  }

  close(): void {
    this.#redis.disconnect();
  }
}
