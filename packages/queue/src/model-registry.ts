import { ModelCard, WorkerReport } from '@shoal/protocol';
import { z } from 'zod';
import { type Connect, connector, promptly } from './connection.ts';
import { modelKeys, type RegistryKeys, registryKeys } from './keys.ts';
import { ANNOUNCE, LIVE_WORKERS, REPORTS } from './lua/registry.ts';
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
   * each time that Redis took it. What `report` says goes with it, also afterwards, while the worker drains.
   */
  announce(
    worker: string,
    card: Omit<ModelCard, 'announcedAt'>,
    onAnnounced?: () => void,
    report?: () => WorkerReport,
  ): () => Promise<void>;
  /** Every model ever announced with this prefix, by name. Rejects with `unavailable`. */
  list(): Promise<ListedModel[]>;
  /** What each live worker of a model reported last, by worker id. Rejects with `unavailable`. */
  reports(model: string): Promise<WorkerReport[]>;
  /** The model's settings that were changed while the processes run, by environment name; as they are, unchecked. */
  settings(model: string): Promise<Record<string, string>>;
  /** Changes some of them; `undefined` takes one back to what each process was started with. */
  changeSettings(model: string, changes: Readonly<Record<string, string | undefined>>): Promise<void>;
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
  return new RedisModelRegistry(options.prefix, (options.connect ?? connector(options.redisUrl))('commands-now'));
}

class RedisModelRegistry implements ModelRegistry {
  readonly #prefix: string;
  readonly #keys: RegistryKeys;
  readonly #redis: RedisClient;
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(prefix: string, redis: RedisClient) {
    this.#prefix = prefix;
    this.#keys = registryKeys(prefix);
    this.#redis = redis;
  }

  announce(
    worker: string,
    card: Omit<ModelCard, 'announcedAt'>,
    onAnnounced: () => void = () => {},
    report?: () => WorkerReport,
  ): () => Promise<void> {
    const { name } = card;
    let serving = true;
    const beat = async (): Promise<void> => {
      const state = serving ? 'serving' : 'leaving';
      const words = [worker, SILENCE_MS, this.#keys.reports(name), report ? JSON.stringify(report()) : '', state];
      await promptly(this.#redis, async (redis) => {
        const json = JSON.stringify({ ...card, announcedAt: Date.now() });
        if (serving) await redis.hset(this.#keys.models, name, json);
        await ANNOUNCE.run(redis, this.#keys.workers(name), words);
      });
    };
    // A beat that fails is made good by the next.
    const send = (): void =>
      void beat().then(
        () => serving && onAnnounced(),
        () => {},
      );
    send();
    const timer = setInterval(send, HEARTBEAT_MS);
    timer.unref();
    this.#timers.add(timer);
    return async () => {
      serving = false;
      if (report === undefined) clearInterval(timer);
      await beat().catch(() => {});
    };
  }

  async reports(model: string): Promise<WorkerReport[]> {
    const key = this.#keys.reports(model);
    const reply = await promptly(this.#redis, (redis) => REPORTS.run(redis, key, [SILENCE_MS]));
    const reports = z
      .array(z.string())
      .parse(reply)
      .map((json) => WorkerReport.safeParse(parseJson(json)).data);
    return reports.filter((report) => report !== undefined).sort((a, b) => a.worker.localeCompare(b.worker));
  }

  async settings(model: string): Promise<Record<string, string>> {
    const key = modelKeys(this.#prefix, model).settings;
    return await promptly(this.#redis, (redis) => redis.hgetall(key));
  }

  async changeSettings(model: string, changes: Readonly<Record<string, string | undefined>>): Promise<void> {
    const key = modelKeys(this.#prefix, model).settings;
    const given = Object.entries(changes);
    const set = given.flatMap(([name, value]) => (value === undefined ? [] : [name, value]));
    const taken = given.flatMap(([name, value]) => (value === undefined ? [name] : []));
    await promptly(this.#redis, async (redis) => {
      if (set.length > 0) await redis.hset(key, ...set);
      if (taken.length > 0) await redis.hdel(key, ...taken);
    });
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
