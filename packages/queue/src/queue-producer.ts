import {
  type ErrorBody,
  ErrorBodySchema,
  GenerateRequest,
  GenerateResult,
  JOB_NAME,
  type JobStatus,
  LOWEST_PRIORITY,
  ShoalError,
} from '@shoal/protocol';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { type Connect, connector, promptly } from './connection.ts';
import { cancelledByCaller } from './held-job.ts';
import { checkJobId, type ModelKeys, modelKeys } from './keys.ts';
import { CANCEL } from './lua/cancel.ts';
import { SUBMIT } from './lua/submit.ts';
import { VIEW } from './lua/view.ts';
import { parseJson } from './parse-json.ts';
import type { JobView, Producer, QueueDepth, SubmitOptions } from './producer.ts';

const LONGEST_RETRY_AFTER_MS = 30_000;
const SHORTEST_RETRY_AFTER_MS = 1_000;

export interface ProducerOptions {
  redisUrl: string;
  /** `QUEUE_PREFIX`. */
  prefix: string;
  model: string;
  /** Most jobs waiting, ≥ 1. Default 10,000. */
  maxQueueSize?: number;
  /** Seconds that results and token logs are kept. Default 3,600. */
  resultTtlS?: number;
  /** For tests: how the connection is made. */
  connect?: Connect;
}

/** {@link Producer} over BullMQ's own add and finish scripts; one connection, which fails fast. */
export function openProducer(options: ProducerOptions): Producer {
  return new QueueProducer({ maxQueueSize: 10_000, resultTtlS: 3_600, ...options });
}

const SubmitReply = z.union([z.tuple([z.literal(1)]), z.tuple([z.literal(0), z.number(), z.coerce.number()])]);
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
  ])
  .nullable();
/** What a view tells of the request itself. */
const Owner = z.looseObject({ tenant: z.string().optional(), fingerprint: z.string().optional() });

class QueueProducer implements Producer {
  readonly model: string;
  readonly #options: ProducerOptions & { maxQueueSize: number; resultTtlS: number };
  readonly #keys: ModelKeys;
  readonly #redis: Redis;

  constructor(options: ProducerOptions & { maxQueueSize: number; resultTtlS: number }) {
    this.model = options.model;
    this.#options = options;
    this.#keys = modelKeys(options.prefix, options.model);
    this.#redis = (options.connect ?? connector(options.redisUrl))('commands-now');
  }

  async submit(request: GenerateRequest, { id, priority }: SubmitOptions): Promise<void> {
    checkJobId(id);
    checkPriority(priority);
    const data = JSON.stringify(checkRequest(request));
    const { bull, own } = this.#keys;
    const { resultTtlS, maxQueueSize } = this.#options;
    const reply = await promptly(this.#redis, (redis) =>
      SUBMIT.run(redis, bull, [bull, own, resultTtlS, maxQueueSize, id, JOB_NAME, priority + 1, data]),
    );
    const [added, waiting, perSecond] = SubmitReply.parse(reply);
    if (added === 0) throw queueFull(waiting, perSecond, maxQueueSize);
  }

  async view(id: string): Promise<JobView | undefined> {
    checkJobId(id);
    const { bull } = this.#keys;
    const reply = ViewReply.parse(await promptly(this.#redis, (redis) => VIEW.run(redis, bull, [bull, id])));
    if (reply === null) return undefined;
    const [state, position, queuedAt, finishedOn, attempts, returnvalue, failedReason, data] = reply;
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
    const event = `{"type":"failed","error":${reason}}`;
    const args = [bull, own, resultTtlS * 1000, 20_000, resultTtlS, id, reason, event, cancelChannel];
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

/** Reads what a failed job stores as its reason: an ErrorBody as JSON, or the text of some other BullMQ worker. */
export function errorOf(failedReason: string): ErrorBody {
  const body = ErrorBodySchema.safeParse(parseJson(failedReason));
  if (body.success) return body.data;
  return { code: 'inference_error', message: failedReason.slice(0, 500) || 'the job failed without a reason' };
}

function statusOf(state: 'queued' | 'running' | 'completed' | 'failed', error: ErrorBody | undefined): JobStatus {
  if (error?.code === 'cancelled') return 'cancelled';
  if (error?.code === 'deadline_exceeded') return 'expired';
  return state;
}

function checkPriority(priority: number): void {
  if (!Number.isInteger(priority) || priority < 0 || priority > LOWEST_PRIORITY) {
    throw new ShoalError('invalid_request_error', `priority must be a whole number from 0 to ${LOWEST_PRIORITY}`, {
      param: 'priority',
    });
  }
}

function checkRequest(request: GenerateRequest): GenerateRequest {
  const parsed = GenerateRequest.safeParse(request);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new ShoalError('invalid_request_error', issue?.message ?? 'not a GenerateRequest', {
    ...(issue === undefined ? {} : { param: issue.path.join('.') }),
  });
}

/** When a tenth of the queue will have drained at the measured rate, from 1 to 30 s. */
function queueFull(waiting: number, perSecond: number, maxQueueSize: number): ShoalError {
  const wait = perSecond > 0 ? (Math.max(1, maxQueueSize / 10) / perSecond) * 1000 : LONGEST_RETRY_AFTER_MS;
  const retryAfterMs = Math.round(Math.min(Math.max(wait, SHORTEST_RETRY_AFTER_MS), LONGEST_RETRY_AFTER_MS));
  return new ShoalError(
    'queue_full',
    `${waiting} requests wait already, and the queue takes ${maxQueueSize}; try again in ${retryAfterMs} ms`,
    { retryAfterMs },
  );
}
