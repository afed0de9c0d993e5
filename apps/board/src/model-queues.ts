import type { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { type ModelRegistry, openBullQueue, openJobActions, openProducer } from '@shoal/queue';
import type { Logger } from '@shoal/telemetry';
import { readableRequest, readableResult } from './readable.ts';
import { ShoalQueueAdapter } from './shoal-queue-adapter.ts';

/** Most queues that the board opens, each with three connections of its own: to look, to cancel, to clean up. */
const MAX_QUEUES = 200;
const POLL_MS = 5_000;

export interface ModelQueuesOptions {
  redisUrl: string;
  /** `QUEUE_PREFIX`. */
  prefix: string;
  readOnly: boolean;
  /** Where people reach the API, for links to a job's events; none without it. */
  apiUrl?: string | undefined;
  registry: Pick<ModelRegistry, 'list'>;
  /** Called once for each model's queue, as it becomes known. */
  onQueue: (adapter: BullMQAdapter) => void;
  logger: Pick<Logger, 'info' | 'warn'>;
}

/** Follows the registry of models: every model that a worker announces gets its queue on the board. */
export class ModelQueues {
  readonly #options: ModelQueuesOptions;
  /** How to close what each model's queue needs, by model. */
  readonly #queues = new Map<string, () => Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #away = false;

  constructor(options: ModelQueuesOptions) {
    this.#options = options;
  }

  /** Looks now, and then every five seconds; resolves after the first look, whether or not Redis was there. */
  async start(): Promise<void> {
    await this.refresh();
    this.#timer = setInterval(() => void this.refresh(), POLL_MS);
  }

  /** Opens the queues of models not seen before. Never rejects: while Redis is away, the next look makes it good. */
  async refresh(): Promise<void> {
    const { registry, logger } = this.#options;
    try {
      for (const { card } of await registry.list()) this.#open(card.name);
      if (this.#away) logger.info('Redis is back');
      this.#away = false;
    } catch (error) {
      if (!this.#away)
        logger.warn(`cannot list the models: ${error instanceof Error ? error.message : 'unknown error'}`);
      this.#away = true;
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.allSettled([...this.#queues.values()].map((close) => close()));
  }

  #open(model: string): void {
    if (this.#queues.has(model) || this.#queues.size >= MAX_QUEUES) return;
    const { redisUrl, prefix, readOnly, onQueue, logger } = this.#options;
    const names = { redisUrl, prefix, model };
    const queue = openBullQueue(names);
    const parts = { actions: openJobActions(names), producer: openProducer(names) };
    this.#queues.set(model, async () => {
      parts.actions.close();
      await Promise.all([queue.close(), parts.producer.close()]);
    });
    const { apiUrl } = this.#options;
    const adapter = new ShoalQueueAdapter(queue, parts, {
      readOnlyMode: readOnly,
      displayName: model,
      ...(apiUrl === undefined ? {} : { externalJobUrl: (job) => eventsOf(apiUrl, String(job.id)) }),
    });
    adapter.setFormatter('data', readableRequest);
    adapter.setFormatter('returnValue', readableResult);
    onQueue(adapter);
    logger.info({ model }, 'queue added');
  }
}

function eventsOf(apiUrl: string, id: string): { displayText: string; href: string } {
  return { displayText: 'Events', href: `${apiUrl.replace(/\/+$/, '')}/v1/jobs/${encodeURIComponent(id)}/events` };
}
