import { randomUUID } from 'node:crypto';
import { DEFAULT_PRIORITY, type GenerateRequest, ShoalError } from '@shoal/protocol';
import { Cluster } from 'ioredis';
import { z } from 'zod';
import { type Connect, connector, promptly } from './connection.ts';
import { cancelledByCaller, deadlineExceeded } from './held-job.ts';
import { readListReply, readRequestReply, readViewReply } from './job-view.ts';
import { checkJobId, listName, type ModelKeys, modelKeys, recordTtlMs } from './keys.ts';
import { CANCEL } from './lua/cancel.ts';
import { DEPTH } from './lua/depth.ts';
import { submitTerms } from './lua/submit.ts';
import { LIST, VIEW } from './lua/view.ts';
import type {
  Accepted,
  JobView,
  ListedJob,
  ListOptions,
  Producer,
  QueueDepth,
  QueueState,
  SubmitOptions,
} from './producer.ts';
import type { RedisClient } from './redis-address.ts';
import {
  checkPriority,
  checkRequest,
  checkSharingKey,
  checkWebhook,
  generationOf,
  queueFull,
  tooManyWebhooks,
  waitTooLong,
} from './submission.ts';
import { Submitter } from './submitter.ts';
import { activeTraceContext } from './trace-context.ts';
import { workOf } from './work-of.ts';

/** Entries of one producer's reply stream on a Cluster, as consumers keep it by default. */
const REPLIES_MAX = 20_000;
/** Below the time that a command may take. */
const REPLICATION_TIMEOUT_MS = 800;

export interface ProducerOptions {
  redisUrl: string;
  /** `QUEUE_PREFIX`. */
  prefix: string;
  model: string;
  /** Most jobs waiting, ≥ 1. Default 10,000. */
  maxQueueSize?: number;
  /** Longest predicted wait in milliseconds before a request is refused; 0 for any. Default 0. */
  maxQueueWaitMs?: number;
  /**
   * `replicated` accepts a request only after a replica has it, so that a failover right after does not lose it.
   * Default `local`.
   */
  durability?: 'local' | 'replicated';
  /** Seconds that results and token logs are kept. Default 3,600. */
  resultTtlS?: number;
  /** Told when a request needs no generation of its own: it joined one that waits or runs, or one that is finished. */
  onReused?: (how: 'shared' | 'cached') => void;
  /** For tests: how connections are made. */
  connect?: Connect;
}

/** {@link Producer} over BullMQ's own add and finish scripts; its connections fail fast. */
export function openProducer(options: ProducerOptions): Producer {
  return new QueueProducer({ maxQueueSize: 10_000, maxQueueWaitMs: 0, resultTtlS: 3_600, ...options });
}

type ProducerSettings = ProducerOptions &
  Required<Pick<ProducerOptions, 'maxQueueSize' | 'maxQueueWaitMs' | 'resultTtlS'>>;

const NotAdded = z.union([
  z.tuple([z.enum(['again', 'shared', 'cached'])]),
  z.tuple([z.enum(['full', 'slow', 'late', 'hooked']), z.coerce.number(), z.coerce.number(), z.coerce.number()]),
]);
const CancelReply = z.enum(['unknown', 'finished', 'cancelled', 'stopping']);

class QueueProducer implements Producer {
  readonly model: string;
  readonly #options: ProducerSettings;
  readonly #keys: ModelKeys;
  readonly #redis: RedisClient;
  /** A connection of their own where a replica must confirm them: WAIT holds up whatever is sent behind it. */
  readonly #submissions: RedisClient;
  readonly #submitter: Submitter;

  constructor(options: ProducerSettings) {
    this.model = options.model;
    this.#options = options;
    this.#keys = modelKeys(options.prefix, options.model);
    const connect = options.connect ?? connector(options.redisUrl);
    this.#redis = connect('commands-now');
    if (this.#redis instanceof Cluster && options.durability === 'replicated') {
      // WAIT has no key: a Cluster would send it to any node.
      this.#redis.disconnect();
      throw new RangeError('DURABILITY=replicated cannot be had on a Redis Cluster: set it to local');
    }
    this.#submissions = options.durability === 'replicated' ? connect('commands-now') : this.#redis;
    this.#submitter = new Submitter({
      redis: this.#submissions,
      key: this.#keys.bull,
      terms: submitTerms({ own: this.#keys.own, recordTtlMs: recordTtlMs(options.resultTtlS), ...options }),
      ...(options.durability === 'replicated' && { confirm: () => this.#untilReplicated() }),
    });
  }

  async submit(request: GenerateRequest, options: SubmitOptions): Promise<Accepted> {
    const { id, priority, sharingKey = '', listed = false, webhookUrl = '', checked = false } = options;
    checkJobId(id);
    checkPriority(priority);
    if (sharingKey !== '') checkSharingKey(sharingKey);
    if (webhookUrl !== '') checkWebhook(webhookUrl, sharingKey);
    const sound = checked ? request : checkRequest(request);
    const reply = await this.#submitter.submit({
      id: sharingKey === '' ? id : `shared-${randomUUID()}`,
      priority: priority + 1,
      work: workOf(request),
      deadline: request.deadline ?? 0,
      data: JSON.stringify(sharingKey === '' ? sound : generationOf(sound)),
      list: listed ? listName(request.tenant) : '',
      trace: activeTraceContext(),
      hook: webhookUrl,
      tenant: request.tenant ?? '',
      shared: sharingKey === '' ? undefined : { key: sharingKey, record: id },
    });
    // Told by hand: nearly every request is answered so, and a union would try its members one by one.
    const added = reply[0] === 'added';
    const reused = added ? undefined : reusedOf(reply);
    if (reused === 'again') return { again: true };
    if (reused !== undefined) this.#options.onReused?.(reused);
    return added ? placeOf(reply) : {};
  }

  async #untilReplicated(): Promise<void> {
    const replicas = await promptly(this.#submissions, (redis) => redis.wait(1, REPLICATION_TIMEOUT_MS));
    if (replicas > 0) return;
    throw new ShoalError(
      'unavailable',
      'no replica has confirmed the request in time, and DURABILITY is replicated; check the replicas, then submit it ' +
        'again under the same id: it is not added twice',
      { retryAfterMs: 1_000 },
    );
  }

  async view(id: string): Promise<JobView | undefined> {
    checkJobId(id);
    const { bull, own } = this.#keys;
    return readViewReply(id, await promptly(this.#redis, (redis) => VIEW.run(redis, bull, [bull, own, id])));
  }

  async request(id: string): Promise<GenerateRequest | undefined> {
    checkJobId(id);
    const { bull, own } = this.#keys;
    return readRequestReply(await promptly(this.#redis, (redis) => VIEW.run(redis, bull, [bull, own, id])));
  }

  async list({ tenant, after, limit }: ListOptions): Promise<{ jobs: ListedJob[]; more: boolean }> {
    const { bull, own } = this.#keys;
    const place = after === undefined ? ['', '', ''] : [after.id ?? '', after.at, after.shown === true ? '1' : ''];
    const args = [bull, own, listName(tenant), limit, ...place];
    return readListReply(await promptly(this.#redis, (redis) => LIST.run(redis, bull, args)));
  }

  cancel(id: string): Promise<'cancelled' | 'stopping' | 'finished' | 'unknown'> {
    return this.#cancel(id, '');
  }

  async withdraw(id: string, tenant: string | undefined): Promise<void> {
    await this.#cancel(id, listName(tenant));
  }

  async #cancel(id: string, list: string): Promise<z.infer<typeof CancelReply>> {
    checkJobId(id);
    const { bull, own, cancelChannel } = this.#keys;
    const reason = JSON.stringify(cancelledByCaller().toBody());
    const args = [bull, own, REPLIES_MAX, recordTtlMs(this.#options.resultTtlS), id, reason, cancelChannel, list];
    const run = async (redis: RedisClient): Promise<z.infer<typeof CancelReply>> =>
      CancelReply.parse(await promptly(redis, (connection) => CANCEL.run(connection, bull, args)));
    // It may still wait here for its turn.
    const landing = this.#submitter.landing(id);
    let outcome = await run(this.#redis);
    if (outcome === 'unknown' && landing !== undefined) {
      await landing;
      outcome = await run(this.#redis);
    }
    if (outcome !== 'unknown' || this.#submissions === this.#redis) return outcome;
    // Its submission may still stand behind a WAIT: this goes behind it, however late Redis comes to both.
    return await run(this.#submissions).catch(() => outcome);
  }

  async depth(): Promise<QueueDepth> {
    const { bull } = this.#keys;
    const counts = await promptly(this.#redis, (redis) =>
      Promise.all([
        redis.llen(`${bull}wait`),
        redis.zcard(`${bull}prioritized`),
        redis.zcard(`${bull}delayed`),
        redis.llen(`${bull}active`),
      ]),
    );
    const [wait, prioritized, delayed, active] = counts;
    return { waiting: wait + prioritized + delayed, running: active };
  }

  async inspect(): Promise<QueueState> {
    const { bull } = this.#keys;
    const reply = await promptly(this.#redis, (redis) => DEPTH.run(redis, bull, [bull]));
    const [paused = 0, unfiled = 0, delayed = 0, running = 0, suspects = 0, ...prioritised] = z
      .array(z.number())
      .parse(reply);
    // Jobs that foreign producers added without a priority are filed under the default one by the next claim.
    const waiting = prioritised.map((jobs, priority) => jobs + (priority === DEFAULT_PRIORITY ? unfiled : 0));
    return { paused: paused === 1, waiting, suspects, delayed, running };
  }

  async close(): Promise<void> {
    for (const redis of new Set([this.#redis, this.#submissions])) redis.disconnect();
  }
}

/** How a request that was not added itself is served; throws when it was refused. */
function reusedOf(raw: unknown): 'again' | 'shared' | 'cached' {
  const reply = NotAdded.parse(raw);
  if (reply[0] === 'full') throw queueFull(reply[1], reply[2], reply[3]);
  if (reply[0] === 'slow') throw waitTooLong(reply[1], reply[1] - reply[3]);
  if (reply[0] === 'hooked') throw tooManyWebhooks(reply[1]);
  if (reply[0] === 'late') throw reply[1] > 0 ? waitTooLong(reply[1], reply[1]) : deadlineExceeded();
  return reply[0];
}

/** Where a new job of a list stands, if the reply says it. */
function placeOf([, position, predicted]: unknown[]): Accepted {
  if (position === undefined) return {};
  const estimatedWaitMs = Number(predicted);
  return { position: Number(position), ...(estimatedWaitMs < 0 ? {} : { estimatedWaitMs }) };
}
