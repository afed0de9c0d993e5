import { REQUEST_VERSION, type RequestEvent, SamplingParams, ShoalError } from '@shoal/protocol';
import {
  type JobView,
  type ModelQueue,
  type ModelRegistry,
  openProducer,
  openQueue,
  openRegistry,
  type Producer,
} from '@shoal/queue';
import type { Job, QueueState } from '../job.ts';
import type { CheckedRequest, ShoalRequest } from '../request.ts';
import type { Transport } from '../transport.ts';

export interface RedisTransportOptions {
  redisUrl: string;
  prefix: string;
  model: string;
  tenant: string | undefined;
  timeoutMs: number;
  maxQueueSize: number;
  /** Unix time in milliseconds. */
  clock: () => number;
  /** A whole number, 0 … 2^53 − 1. */
  randomSeed: () => number;
}

/** {@link Transport} over one model's queue. Readers attach by position, as the API's do. */
export class RedisTransport implements Transport {
  readonly #options: RedisTransportOptions;
  readonly #queue: ModelQueue;
  readonly #registry: ModelRegistry;
  /** Producers of other models, opened to look at their depth. */
  readonly #others = new Map<string, Producer>();
  #announced = false;

  constructor(options: RedisTransportOptions) {
    this.#options = options;
    const { redisUrl, prefix, model, maxQueueSize } = options;
    this.#queue = openQueue({ redisUrl, prefix, model, maxQueueSize });
    this.#registry = openRegistry({ redisUrl, prefix });
  }

  async submit(request: CheckedRequest, key: string): Promise<Job> {
    const { model, tenant, timeoutMs, clock, randomSeed } = this.#options;
    await this.#requireModel(request.model);
    const queuedAt = clock();
    const payload = {
      v: REQUEST_VERSION,
      ...request.input,
      // With a seed of its own, a request that is interrupted goes on with the same randomness.
      params: paramsOf({ ...request.params, seed: request.params.seed ?? randomSeed() }),
      deadline: queuedAt + (request.timeoutMs ?? timeoutMs),
      ...(tenant === undefined ? {} : { tenant }),
    } as const;
    const hook = request.webhookUrl === undefined ? {} : { webhookUrl: request.webhookUrl };
    await this.#queue.producer.submit(payload, { id: key, priority: request.priority, listed: true, ...hook });
    return { id: key, model, status: 'queued', queuedAt, attempts: 0 };
  }

  async job(id: string): Promise<Job> {
    const view = await this.#queue.producer.view(id).catch(ignoreBadId);
    if (view === undefined || !this.#mine(view)) throw notFound();
    return jobOf(view, this.#options.model);
  }

  async request(id: string): Promise<ShoalRequest> {
    await this.job(id);
    const asked = await this.#queue.producer.request(id);
    if (asked === undefined) throw notFound();
    const { prompt, messages, askedAt, chatTemplateKwargs, promptTokenIds, params } = asked;
    return { model: this.#options.model, prompt, messages, askedAt, chatTemplateKwargs, promptTokenIds, ...params };
  }

  async cancel(id: string): Promise<Job> {
    const before = await this.job(id);
    const outcome = await this.#queue.producer.cancel(id);
    if (outcome === 'unknown') throw notFound();
    return outcome === 'stopping' ? before : await this.job(id);
  }

  async *follow(id: string, position: number, signal: AbortSignal): AsyncGenerator<RequestEvent, void, undefined> {
    await this.job(id);
    yield* this.#queue.replies.attach(id, { position, signal });
  }

  async queues(): Promise<QueueState[]> {
    const listed = await this.#registry.list();
    return await Promise.all(
      listed.map(async ({ card, workers }) => ({
        model: card.name,
        workers,
        maxModelLen: card.maxModelLen,
        chat: card.chat,
        ...(await this.#producer(card.name).depth()),
      })),
    );
  }

  async close(): Promise<void> {
    this.#registry.close();
    await Promise.all([this.#queue.close(), ...[...this.#others.values()].map((producer) => producer.close())]);
  }

  /** A request for a model that nobody has ever served would wait for nothing. */
  async #requireModel(asked: string): Promise<void> {
    const { model } = this.#options;
    if (asked !== model) throw noModel(`this client uses the queue of ${model}; make another one for another model`);
    if (this.#announced) return;
    const listed = await this.#registry.list();
    if (!listed.some(({ card }) => card.name === model)) {
      throw noModel('no worker has announced this model; check model and prefix, and that a worker runs');
    }
    this.#announced = true;
  }

  #mine(view: JobView): boolean {
    return this.#options.tenant === undefined || view.tenant === this.#options.tenant;
  }

  #producer(model: string): Producer {
    if (model === this.#options.model) return this.#queue.producer;
    const { redisUrl, prefix } = this.#options;
    const producer = this.#others.get(model) ?? openProducer({ redisUrl, prefix, model });
    this.#others.set(model, producer);
    return producer;
  }
}

/** With the defaults that the API would give. */
function paramsOf(params: CheckedRequest['params']): SamplingParams {
  const result = SamplingParams.safeParse(params);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const param = issue?.path.join('.') ?? '';
  throw new ShoalError('invalid_request_error', `${param}: ${issue?.message ?? 'invalid'}`, { param });
}

function jobOf(view: JobView, model: string): Job {
  const { tenant: _, fingerprint: __, ...job } = view;
  return { ...job, model };
}

/** Some ids can belong to no job: there is none, then. */
function ignoreBadId(error: unknown): undefined {
  if (error instanceof ShoalError && error.code === 'invalid_request_error') return undefined;
  throw error;
}

function notFound(): ShoalError {
  return new ShoalError('job_not_found', 'there is no such job, or its result is no longer kept');
}

function noModel(message: string): ShoalError {
  return new ShoalError('model_not_found', message, { param: 'model' });
}
