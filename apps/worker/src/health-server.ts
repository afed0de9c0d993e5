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

/** How far the start is. A large model takes minutes to arrive and to load: whoever asks is told which it is. */
export type StartPhase = 'looking for the model' | 'downloading the model' | 'loading the model' | 'loaded';

/**
 * The worker's own small port, open from the start: `/health/live` (200 as long as the process answers),
 * `/health/ready` (503 with a reason while the model is downloaded and loaded, until it is announced, while Redis is
 * away, and while the worker drains), `/metrics` (Prometheus) and `/batches` (the most recent batches, by request ids).
 */
export class HealthServer {
  phase: StartPhase = 'looking for the model';
  /** Of the download, while there is one. */
  download: { bytesDone: number; bytes: number } | undefined;
  /** Set once the registry has the model: before, nobody would send it a request. */
  announced = false;
  /** Set when the worker stops claiming. */
  draining = false;
  readonly #app: FastifyInstance;
  readonly #redis: RedisHealth;

  constructor(parts: HealthServerParts) {
    this.#redis = parts.redis;
    this.#app = fastify({ logger: false, forceCloseConnections: true });
    this.#app.get('/health/live', () => ({ status: 'ok' }));
    this.#app.get('/health/ready', async (_request, reply) => {
      const refusal = await this.#refusal();
      return await reply.code(refusal === undefined ? 200 : 503).send(refusal ?? { status: 'ok' });
    });
    const { registry } = parts;
    if (registry !== undefined) {
      this.#app.get('/metrics', async (_request, reply) => {
        return await reply.type(registry.contentType).send(await registry.metrics());
      });
    }
    this.#app.get('/batches', () => parts.batches.recent());
  }

  /** Why no request should come here now. */
  async #refusal(): Promise<{ status: string; bytesDone?: number; bytes?: number } | undefined> {
    if (this.draining) return { status: 'draining' };
    if (this.phase === 'downloading the model') return { status: this.phase, ...this.download };
    if (this.phase !== 'loaded') return { status: this.phase };
    if (!this.announced) return { status: 'not announced yet' };
    const reachable = await this.#redis.ping().then(
      () => true,
      () => false,
    );
    return reachable ? undefined : { status: 'redis unavailable' };
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
