import { randomUUID } from 'node:crypto';
import { type GenerateRequest, GenerateResult, JOB_NAME, ShoalError } from '@shoal/protocol';
import { Cluster } from 'ioredis';
import { z } from 'zod';
import { type Connect, connector, promptly } from './connection.ts';
import { cancelledByCaller, deadlineExceeded } from './held-job.ts';
import { endOfRecord, errorOf, statusOf } from './job-end.ts';
import { checkJobId, type ModelKeys, modelKeys, recordTtlMs } from './keys.ts';
import { CANCEL } from './lua/cancel.ts';
import { SUBMIT } from './lua/submit.ts';
import { VIEW } from './lua/view.ts';
import { parseJson } from './parse-json.ts';
import type { JobView, Producer, QueueDepth, SubmitOptions } from './producer.ts';
import type { RedisClient } from './redis-address.ts';
import { checkPriority, checkRequest, checkSharingKey, generationOf, queueFull, waitTooLong } from './submission.ts';
import { workOf } from './work-of.ts';

/** Entries of one producer's reply stream, as consumers keep it by default. */
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
  /** For tests: how the connection is made. */
  connect?: Connect;
}

/** {@link Producer} over BullMQ's own add and finish scripts; one connection, which fails fast. */
export function openProducer(options: ProducerOptions): Producer {
  return new QueueProducer({ maxQueueSize: 10_000, maxQueueWaitMs: 0, resultTtlS: 3_600, ...options });
}

type ProducerSettings = ProducerOptions &
  Required<Pick<ProducerOptions, 'maxQueueSize' | 'maxQueueWaitMs' | 'resultTtlS'>>;

const SubmitReply = z.union([
  z.tuple([z.literal('added')]),
  z.tuple([z.enum(['full', 'slow', 'late']), z.coerce.number(), z.coerce.number()]),
]);
const CancelReply = z.enum(['unknown', 'finished', 'cancelled', 'stopping']);
const ViewReply = z
  .tuple([
    z.enum(['queued', 'running', 'completed', 'failed']),
    z.number(),
    z.coerce.number(),
    z.string(),
    z.coerce.number(),
    z.string(),
    z.string(),
    z.string(),
    z.string(),
    z.enum(['', 'cancelled', 'expired']),
  ])
  .nullable();
/** What a view tells of the request itself. */
const Owner = z.looseObject({ tenant: z.string().optional(), fingerprint: z.string().optional() });

class QueueProducer implements Producer {
  readonly model: string;
  readonly #options: ProducerSettings;
  readonly #keys: ModelKeys;
  readonly #redis: RedisClient;

  constructor(options: ProducerSettings) {
    this.model = options.model;
    this.#options = options;
    this.#keys = modelKeys(options.prefix, options.model);
    this.#redis = (options.connect ?? connector(options.redisUrl))('commands-now');
    if (this.#redis instanceof Cluster && options.durability === 'replicated') {
      // WAIT has no key: a Cluster would send it to any node.
      this.#redis.disconnect();
      throw new RangeError('DURABILITY=replicated cannot be had on a Redis Cluster');
    }
  }

  async submit(request: GenerateRequest, { id, priority, sharingKey = '' }: SubmitOptions): Promise<void> {
    checkJobId(id);
    checkPriority(priority);
    if (sharingKey !== '') checkSharingKey(sharingKey);
    const data = JSON.stringify(sharingKey === '' ? checkRequest(request) : generationOf(checkRequest(request)));
    const jobId = sharingKey === '' ? id : `shared-${randomUUID()}`;
    const { bull, own } = this.#keys;
    const { resultTtlS, maxQueueSize, maxQueueWaitMs } = this.#options;
    const limits = [bull, own, resultTtlS, maxQueueSize, maxQueueWaitMs];
    const job = [jobId, JOB_NAME, priority + 1, workOf(request), request.deadline ?? 0, data];
    const args = [...limits, ...job, recordTtlMs(resultTtlS), sharingKey, id];
    const reply = SubmitReply.parse(await promptly(this.#redis, (redis) => SUBMIT.run(redis, bull, args)));
    if (reply[0] === 'added' && this.#options.durability === 'replicated') await this.#untilReplicated();
    if (reply[0] === 'full') throw queueFull(reply[1], reply[2], maxQueueSize);
    if (reply[0] === 'slow') throw waitTooLong(reply[1], reply[1] - maxQueueWaitMs);
    if (reply[0] === 'late') throw reply[1] > 0 ? waitTooLong(reply[1], reply[1]) : deadlineExceeded();
  }

  async #untilReplicated(): Promise<void> {
    const replicas = await promptly(this.#redis, (redis) => redis.wait(1, REPLICATION_TIMEOUT_MS));
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
    const reply = ViewReply.parse(await promptly(this.#redis, (redis) => VIEW.run(redis, bull, [bull, own, id])));
    if (reply === null) return undefined;
    const [state, position, queuedAt, finishedOn, attempts, returnvalue, failedReason, data, wait, ownEnd] = reply;
    if (ownEnd !== '') return { id, status: ownEnd, queuedAt, attempts, error: endOfRecord(ownEnd) };
    const error = state === 'failed' ? errorOf(failedReason) : undefined;
    const result = state === 'completed' ? GenerateResult.safeParse(parseJson(returnvalue)).data : undefined;
    const { tenant, fingerprint } = Owner.safeParse(parseJson(data)).data ?? {};
    return {
      id,
      status: statusOf(state, error),
      queuedAt,
      attempts,
      ...(finishedOn === '' ? {} : { finishedAt: Number(finishedOn) }),
      ...(position < 0 ? {} : { position }),
      ...(wait === '' ? {} : { estimatedWaitMs: Number(wait) }),
      ...(tenant === undefined ? {} : { tenant }),
      ...(fingerprint === undefined ? {} : { fingerprint }),
      ...(result === undefined ? {} : { result }),
      ...(error === undefined ? {} : { error }),
    };
  }

  async cancel(id: string): Promise<'cancelled' | 'stopping' | 'finished' | 'unknown'> {
    checkJobId(id);
    const { bull, own, cancelChannel } = this.#keys;
    const { resultTtlS } = this.#options;
    const reason = JSON.stringify(cancelledByCaller().toBody());
    const args = [bull, own, REPLIES_MAX, resultTtlS, recordTtlMs(resultTtlS), id, reason, cancelChannel];
    return CancelReply.parse(await promptly(this.#redis, (redis) => CANCEL.run(redis, bull, args)));
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

  async close(): Promise<void> {
    this.#redis.disconnect();
  }
}
