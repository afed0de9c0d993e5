import { ModelCard } from '@shoal/protocol';
import { type Connect, connector, promptly } from './connection.ts';
import { type RegistryKeys, registryKeys } from './keys.ts';
import { ANNOUNCE, LIVE_WORKERS } from './lua/registry.ts';
import { parseJson } from './parse-json.ts';
import type { RedisClient } from './redis-address.ts';

const HEARTBEAT_MS = 5_000;
/** A worker that was not heard of for this long is gone. */
const SILENCE_MS = 15_000;

export interface ListedModel {
  card: ModelCard;
  /** Workers heard of in the last 15 seconds. */
  workers: number;
}

export interface ModelRegistry {
  /**
   * Keeps announcing a model for a worker, every 5 s, until the returned function is called; calls `onAnnounced` after
   * each time that Redis took it.
   */
  announce(worker: string, card: Omit<ModelCard, 'announcedAt'>, onAnnounced?: () => void): () => Promise<void>;
  /** Every model ever announced with this prefix, by name. Rejects with `unavailable`. */
  list(): Promise<ListedModel[]>;
  close(): void;
}

export interface RegistryOptions {
  redisUrl: string;
  /** `QUEUE_PREFIX`. */
  prefix: string;
  /** For tests: how the connection is made. */
  connect?: Connect;
}

export function openRegistry(options: RegistryOptions): ModelRegistry {
  return new RedisModelRegistry(
    registryKeys(options.prefix),
    (options.connect ?? connector(options.redisUrl))('commands-now'),
  );
}

class RedisModelRegistry implements ModelRegistry {
  readonly #keys: RegistryKeys;
  readonly #redis: RedisClient;
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(keys: RegistryKeys, redis: RedisClient) {
    this.#keys = keys;
    this.#redis = redis;
  }

  announce(
    worker: string,
    card: Omit<ModelCard, 'announcedAt'>,
    onAnnounced: () => void = () => {},
  ): () => Promise<void> {
    const workers = this.#keys.workers(card.name);
    const beat = async (): Promise<void> => {
      const json = JSON.stringify({ ...card, announcedAt: Date.now() });
      await promptly(this.#redis, async (redis) => {
        await redis.hset(this.#keys.models, card.name, json);
        await ANNOUNCE.run(redis, workers, [worker, SILENCE_MS]);
      });
    };
    // A beat that fails is made good by the next.
    const send = (): void => void beat().then(onAnnounced, () => {});
    send();
    const timer = setInterval(send, HEARTBEAT_MS);
    timer.unref();
    this.#timers.add(timer);
    return async () => {
      clearInterval(timer);
      this.#timers.delete(timer);
      await promptly(this.#redis, (redis) => redis.zrem(workers, worker)).catch(() => {});
    };
  }

  async list(): Promise<ListedModel[]> {
    const cards = await promptly(this.#redis, (redis) => redis.hgetall(this.#keys.models));
    const listed = await Promise.all(Object.values(cards).map((json) => this.#listed(json)));
    return listed.filter((model) => model !== undefined).sort((a, b) => a.card.name.localeCompare(b.card.name));
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#redis.disconnect();
  }

  async #listed(json: string): Promise<ListedModel | undefined> {
    const card = ModelCard.safeParse(parseJson(json));
    if (!card.success) return undefined;
    const key = this.#keys.workers(card.data.name);
    const workers = await promptly(this.#redis, (redis) => LIVE_WORKERS.run(redis, key, [SILENCE_MS]));
    return { card: card.data, workers: Number(workers) };
  }
}
