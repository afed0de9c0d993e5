import {
  type ActivityFeed,
  type ListedModel,
  type ModelQueue,
  type ModelRegistry,
  openActivityFeed,
  openHealth,
  openQueue,
  openRegistry,
  type RedisHealth,
} from '@shoal/queue';
import type { Models, ServedModel } from './models.ts';

export interface RedisModelsOptions {
  redisUrl: string;
  /** `QUEUE_PREFIX`. */
  prefix: string;
  maxQueueSize: number;
  maxQueueWaitMs: number;
  resultTtlS: number;
  durability: 'local' | 'replicated';
  /** Told when a request needed no generation of its own. */
  onReused?: (model: string, how: 'shared' | 'cached') => void;
}

/** How old the list of models may be before it is read again, in the background. */
const STALE_MS = 5_000;
/** A name that is not in the list makes it be read again, but no more often than this. */
const SHORTEST_INTERVAL_MS = 250;

/** {@link Models} over the workers' registry in Redis; opens each model's queue when it is first asked for. */
export class RedisModels implements Models {
  readonly #options: RedisModelsOptions;
  readonly #registry: ModelRegistry;
  readonly #health: RedisHealth;
  readonly #queues = new Map<string, ModelQueue & { activity: ActivityFeed }>();
  readonly #servedOf = new WeakMap<ListedModel, ServedModel>();
  #listed = new Map<string, ListedModel>();
  #readAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  constructor(options: RedisModelsOptions) {
    this.#options = options;
    const { redisUrl, prefix } = options;
    this.#registry = openRegistry({ redisUrl, prefix });
    this.#health = openHealth({ redisUrl });
  }

  async find(name: string): Promise<ServedModel | undefined> {
    const age = performance.now() - this.#readAt;
    if (!this.#listed.has(name) && age > SHORTEST_INTERVAL_MS) await this.#read();
    else if (age > STALE_MS) this.#read().catch(() => {});
    const listed = this.#listed.get(name);
    if (listed === undefined) return undefined;
    await this.#queue(name).ready();
    return this.#served(listed);
  }

  async list(): Promise<ServedModel[]> {
    if (performance.now() - this.#readAt > SHORTEST_INTERVAL_MS) await this.#read();
    return [...this.#listed.values()].map((listed) => this.#served(listed));
  }

  /** Made once for each reading of the list: every request asks for one. */
  #served(listed: ListedModel): ServedModel {
    const known = this.#servedOf.get(listed);
    if (known !== undefined) return known;
    const { name } = listed.card;
    const { producer, replies, activity } = this.#queue(name);
    const served = { ...listed, producer, replies, activity, reports: () => this.#registry.reports(name) };
    this.#servedOf.set(listed, served);
    return served;
  }

  async ping(): Promise<void> {
    await this.#health.ping();
  }

  async close(): Promise<void> {
    this.#registry.close();
    this.#health.close();
    for (const { activity } of this.#queues.values()) activity.close();
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()));
  }

  #queue(model: string): ModelQueue & { activity: ActivityFeed } {
    const known = this.#queues.get(model);
    if (known !== undefined) return known;
    const { onReused = () => {}, ...options } = this.#options;
    const queue = openQueue({ ...options, model, onReused: (how) => onReused(model, how) });
    const activity = openActivityFeed({ ...this.#options, model, depth: () => queue.producer.depth() });
    this.#queues.set(model, { ...queue, activity });
    return { ...queue, activity };
  }

  /** Reads the registry; callers at the same time share one reading. */
  #read(): Promise<void> {
    this.#reading ??= this.#registry
      .list()
      .then((models) => {
        this.#listed = new Map(models.map((model) => [model.card.name, model]));
        this.#readAt = performance.now();
      })
      .finally(() => {
        this.#reading = undefined;
      });
    return this.#reading;
  }
}
