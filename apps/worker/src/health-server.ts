import { ShoalError } from '@shoal/protocol';
import type { RedisHealth } from '@shoal/queue';
import { type FastifyInstance, fastify } from 'fastify';
import type { Registry } from 'prom-client';
import type { BatchLog } from './batch-log.ts';

export interface HealthServerParts {
  /** Absent with `METRICS=off`: `/metrics` answers 404. */
  registry: Registry | undefined;
  batches: BatchLog;
  redis: RedisHealth;
}

/**
 * The worker's own small port: `/health/live`, `/health/ready` (503 until the model is announced, while Redis is away,
 * and while the worker drains), `/metrics` (Prometheus) and `/batches` (the most recent batches, by request ids).
 */
export class HealthServer {
  /** Set once the registry has the model: before, nobody would send it a request. */
  announced = false;
  /** Set when the worker stops claiming. */
  draining = false;
  readonly #app: FastifyInstance;

  constructor(parts: HealthServerParts) {
    this.#app = fastify({ logger: false, forceCloseConnections: true });
    this.#app.get('/health/live', () => ({ status: 'ok' }));
    this.#app.get('/health/ready', async (_request, reply) => {
      if (this.draining) return await reply.code(503).send({ status: 'draining' });
      if (!this.announced) return await reply.code(503).send({ status: 'not announced yet' });
      const reachable = await parts.redis.ping().then(
        () => true,
        () => false,
      );
      return await reply.code(reachable ? 200 : 503).send({ status: reachable ? 'ok' : 'redis unavailable' });
    });
    const { registry } = parts;
    if (registry !== undefined) {
      this.#app.get('/metrics', async (_request, reply) => {
        return await reply.type(registry.contentType).send(await registry.metrics());
      });
    }
    this.#app.get('/batches', () => parts.batches.recent());
  }

  get url(): string {
    return this.#app.listeningOrigin;
  }

  /** Throws `unavailable`, in one line, when the port cannot be had. */
  async listen(host: string, port: number): Promise<void> {
    try {
      await this.#app.listen({ host, port });
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new ShoalError(
        'unavailable',
        `cannot listen on METRICS_HOST=${host} METRICS_PORT=${port}: ${reason}; choose another port, or 0 for a free one`,
        { cause },
      );
    }
  }

  async close(): Promise<void> {
    await this.#app.close();
  }
}
