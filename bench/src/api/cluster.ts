import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { openRegistry } from '@shoal/queue';
import { Child } from '../queue/child.ts';
import { freshQueue, type QueueAddress } from '../queue/jobs.ts';
import { MeasuredRedis } from '../queue/redis-cost.ts';
import { Served } from './served.ts';
import type { StreamWorkerCalls } from './stream-worker.ts';

const API = join(import.meta.dirname, '..', '..', '..', 'apps', 'api', 'dist');

/** The schema of the API's own route, for the route that it is measured against. */
export const API_SCHEMAS: string = pathToFileURL(join(API, 'schemas', 'bodies.js')).href;

/** A Redis, one API over it, and a worker process whose engine does nothing. */
export class ApiCluster {
  readonly redis: MeasuredRedis;
  readonly address: QueueAddress;
  readonly api: Served;
  readonly worker: Child<StreamWorkerCalls> = new Child<StreamWorkerCalls>('../api/stream-worker.js');
  readonly #retire: () => Promise<void>;

  private constructor(redis: MeasuredRedis, address: QueueAddress, api: Served, retire: () => Promise<void>) {
    this.redis = redis;
    this.address = address;
    this.api = api;
    this.#retire = retire;
  }

  /** `tellsHeap`: the API can be asked for its `heapBytes`. */
  static async start(
    env: Readonly<Record<string, string>> = {},
    options: { tellsHeap?: boolean } = {},
  ): Promise<ApiCluster> {
    const redis = await MeasuredRedis.launch();
    const address = freshQueue(redis.url);
    const registry = openRegistry({ redisUrl: redis.url, prefix: address.prefix });
    const card = {
      maxModelLen: 4096,
      vocabSize: 261,
      chat: true,
      revision: 'bench',
      dtype: 'fp32',
      executionProvider: 'cpu',
    };
    const retire = registry.announce('bench', { name: address.model, ...card });
    const settings = {
      REDIS_URL: redis.url,
      QUEUE_PREFIX: address.prefix,
      PORT: '0',
      MAX_QUEUE_SIZE: '100000',
      ...env,
    };
    const api = await Served.start(join(API, 'main.js'), settings, options);
    return new ApiCluster(redis, address, api, async () => {
      await retire();
      registry.close();
    });
  }

  async close(): Promise<void> {
    await this.#retire();
    this.worker.close();
    await this.api.close();
    await this.redis.close();
  }
}
