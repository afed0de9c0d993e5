import { randomInt } from 'node:crypto';
import type { ShoalClient } from '../client.ts';
import { type RetryOptions, retryPolicy } from '../retry.ts';
import { TransportClient } from '../transport-client.ts';
import { RedisTransport } from './redis-transport.ts';

export interface RedisClientOptions extends RetryOptions {
  redisUrl: string;
  /** The cluster's `QUEUE_PREFIX`. Default `shoal`. */
  prefix?: string | undefined;
  /** The served model whose queue this client uses. */
  model: string;
  /** Owner of the requests, `[A-Za-z0-9_-]{1,64}`: only its own jobs are then seen. Default: none. */
  tenant?: string | undefined;
  /** Milliseconds after which an answer is worthless, for requests that do not say, ≥ 1. Default 600,000. */
  timeoutMs?: number | undefined;
  /** Most jobs waiting before a request is refused, ≥ 1: the API's `MAX_QUEUE_SIZE`. Default 10,000. */
  maxQueueSize?: number | undefined;
}

/**
 * A client that uses the queue itself, for services in the same network as Redis. It holds three connections; close it.
 * Write access to Redis is full trust: see docs/operations.md.
 */
export function redisClient(options: RedisClientOptions): ShoalClient {
  const transport = new RedisTransport({
    redisUrl: options.redisUrl,
    prefix: options.prefix ?? 'shoal',
    model: options.model,
    tenant: options.tenant,
    timeoutMs: options.timeoutMs ?? 600_000,
    maxQueueSize: options.maxQueueSize ?? 10_000,
    clock: Date.now,
    randomSeed: () => randomInt(2 ** 32),
  });
  return new TransportClient(transport, retryPolicy(options), options.model);
}
