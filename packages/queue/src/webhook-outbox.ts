import type { ErrorBody } from '@shoal/protocol';
import { z } from 'zod';
import { type Connect, connector, promptly } from './connection.ts';
import { errorOf } from './job-end.ts';
import { type ModelKeys, modelKeys } from './keys.ts';
import { SETTLE_WEBHOOK, TAKE_WEBHOOKS } from './lua/webhooks.ts';
import type { RedisClient } from './redis-address.ts';

/** One call to make: a job ended, and a URL is to be told. */
export interface WebhookCall {
  jobId: string;
  url: string;
  outcome: 'completed' | 'failed';
  /** Why it failed, if it did. */
  error?: ErrorBody;
  /** Unix time in milliseconds of the end; with the job's id it names the call, at every attempt the same. */
  endedAt: number;
  /** This attempt, 1 …. */
  attempt: number;
  /** Name and port of the URL, by which calls are counted that are under way to one receiver. */
  host: string;
  /** Whose call it is; absent where no tenant is known. */
  tenant?: string;
}

/** How an attempt went. `failed` is for good; `pending` is tried again after `delayMs`. */
export type WebhookOutcome =
  | { state: 'delivered' }
  | { state: 'failed'; reason: string }
  | { state: 'pending'; reason: string; delayMs: number };

/**
 * The calls of one model that wait to be made. The script that ends a job writes them, so that none is forgotten; any
 * process may make them, each under a lease: one that dies leaves its calls to others, once the lease is over. So a call
 * is made at least once. Every method rejects with `unavailable` when Redis is away.
 */
export interface WebhookOutbox {
  /**
   * Calls that are due, at most `limit`, which nobody else takes for `leaseMs`. With `bounds`, none beyond them: receivers
   * that do not answer hold up neither others nor another tenant's.
   */
  take(limit: number, leaseMs: number, bounds?: CallBounds): Promise<WebhookCall[]>;
  settle(call: WebhookCall, outcome: WebhookOutcome): Promise<void>;
  close(): void;
}

export interface CallBounds {
  /** To one host. */
  hosts: CallBound;
  /** Of one tenant; calls that belong to none are not bound by it. */
  tenants: CallBound;
}

export interface CallBound {
  /** Calls at a time, ≥ 1. */
  most: number;
  /** How many are being made, by name. */
  underWay: ReadonlyMap<string, number>;
}

export interface WebhookOutboxOptions {
  redisUrl: string;
  /** `QUEUE_PREFIX`. */
  prefix: string;
  model: string;
  /** For tests: how the connection is made. */
  connect?: Connect;
}

export function openWebhookOutbox(options: WebhookOutboxOptions): WebhookOutbox {
  const redis = (options.connect ?? connector(options.redisUrl))('commands-now');
  return new RedisWebhookOutbox(modelKeys(options.prefix, options.model), redis);
}

const Row = z
  .tuple([
    z.string(),
    z.string(),
    z.enum(['completed', 'failed']),
    z.string(),
    z.coerce.number(),
    z.number(),
    z.string(),
    z.string(),
  ])
  .transform(
    ([jobId, url, outcome, reason, endedAt, attempt, host, tenant]): WebhookCall => ({
      ...{ jobId, url, outcome, endedAt, attempt, host },
      ...(tenant === '' ? {} : { tenant }),
      ...(outcome === 'failed' ? { error: errorOf(reason) } : {}),
    }),
  );

const ANY: CallBound = { most: Number.MAX_SAFE_INTEGER, underWay: new Map() };

class RedisWebhookOutbox implements WebhookOutbox {
  readonly #keys: ModelKeys;
  readonly #redis: RedisClient;

  constructor(keys: ModelKeys, redis: RedisClient) {
    this.#keys = keys;
    this.#redis = redis;
  }

  async take(
    limit: number,
    leaseMs: number,
    { hosts, tenants }: CallBounds = { hosts: ANY, tenants: ANY },
  ): Promise<WebhookCall[]> {
    const { bull, own } = this.#keys;
    const underWay = [...hosts.underWay, ...tenants.underWay].flat();
    const args = [own, limit, leaseMs, hosts.most, tenants.most, hosts.underWay.size, ...underWay];
    const reply = await promptly(this.#redis, (redis) => TAKE_WEBHOOKS.run(redis, bull, args));
    return z.array(Row).parse(reply);
  }

  async settle({ jobId, attempt }: WebhookCall, outcome: WebhookOutcome): Promise<void> {
    const { bull, own } = this.#keys;
    const delayMs = outcome.state === 'pending' ? outcome.delayMs : 0;
    const reason = outcome.state === 'delivered' ? '' : outcome.reason;
    const args = [own, jobId, attempt, outcome.state, delayMs, reason];
    await promptly(this.#redis, (redis) => SETTLE_WEBHOOK.run(redis, bull, args));
  }

  close(): void {
    this.#redis.disconnect();
  }
}
