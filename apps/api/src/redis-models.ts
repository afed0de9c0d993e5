import {
  type ListedModel,
  type ModelQueue,
  type ModelRegistry,
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
  readonly #queues = new Map<string, ModelQueue>();
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
    const queue = this.#queue(name);
    await queue.ready();
    return { card: listed.card, workers: listed.workers, producer: queue.producer, replies: queue.replies };
  }

  async list(): Promise<ServedModel[]> {
    if (performance.now() - this.#readAt > SHORTEST_INTERVAL_MS) await this.#read();
    return [...this.#listed.values()].map(({ card, workers }) => {
      const { producer, replies } = this.#queue(card.name);
      return { card, workers, producer, replies };
    });
  }

  async ping(): Promise<void> {
    await this.#health.ping();
  }

  async close(): Promise<void> {
    this.#registry.close();
    this.#health.close();
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()));
  }

  #queue(model: string): ModelQueue {
    const queue = this.#queues.get(model) ?? openQueue({ ...this.#options, model });
    this.#queues.set(model, queue);
    return queue;
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
