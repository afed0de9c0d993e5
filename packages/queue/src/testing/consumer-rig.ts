import { randomUUID } from 'node:crypto';
import type { GenerateRequest } from '@shoal/protocol';
import type { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { afterEach, beforeEach } from 'vitest';
import { openConsumer } from '../bulk-consumer.ts';
import type { ClaimedJob, Consumer, ConsumerFact } from '../consumer.ts';
import type { ConsumerOptions } from '../consumer-options.ts';
import { type ModelKeys, modelKeys } from '../keys.ts';
import { type ModelQueue, openBullQueue, openQueue } from '../open-queue.ts';
import { type BreakableConnections, breakableConnections } from './breakable.ts';
import { sampleRequest, sampleResult } from './requests.ts';
import { connected } from './waiting.ts';

/** Options of a worker whose death is found soon. */
export const fast = { lockDurationMs: 600, stalledIntervalMs: 200 };

/** A worker, and what it was given and told so far. */
export interface Started {
  consumer: Consumer;
  jobs: ClaimedJob[];
  facts: ConsumerFact[];
  connections: BreakableConnections;
}

/** A queue for consumers, new for every test: its functions may be taken out of it, its fields are read anew. */
export interface ConsumerRig {
  readonly prefix: string;
  readonly keys: ModelKeys;
  readonly redis: Redis;
  readonly queue: ModelQueue;
  readonly bull: Queue;
  /** Those that are closed after the test. */
  readonly consumers: Consumer[];
  /** A worker that has 8 slots unless the options say otherwise. */
  start(options?: Partial<ConsumerOptions>, handle?: (job: ClaimedJob) => void): Started;
  /** Kills a worker: it writes nothing any more, not even that it leaves. */
  deadly(started: Started): Promise<void>;
  submit(id: string, priority?: number): Promise<unknown>;
  status(id: string): Promise<string | undefined>;
  /** Adds jobs in one transaction, past the producer. */
  bulk(ids: string[], fields?: Partial<GenerateRequest>): Promise<unknown>;
  /** Connections whose name has `name` in it, and that wait for BullMQ's marker. */
  listeners(name: string): Promise<number>;
}

/**
 * Gives each test of the `describe` that calls it a queue of its own, and closes after it what it has opened. `open` makes
 * the consumers.
 */
export function consumerRig(
  redisUrl: string,
  open: (options: ConsumerOptions) => Consumer = openConsumer,
): ConsumerRig {
  let prefix: string;
  let keys: ModelKeys;
  let redis: Redis;
  let queue: ModelQueue;
  let bull: Queue;
  let consumers: Consumer[];

  beforeEach(async () => {
    prefix = `test-${randomUUID()}`;
    keys = modelKeys(prefix, 'minnow');
    redis = new Redis(redisUrl);
    queue = openQueue({ redisUrl, prefix, model: 'minnow' });
    bull = openBullQueue({ redisUrl, prefix, model: 'minnow' });
    consumers = [];
    await connected(queue);
  });
  afterEach(async () => {
    await Promise.all(consumers.map((consumer) => consumer.close({ timeoutMs: 0 })));
    await Promise.all([queue.close(), bull.close()]);
    redis.disconnect();
  });

  return {
    get prefix() {
      return prefix;
    },
    get keys() {
      return keys;
    },
    get redis() {
      return redis;
    },
    get queue() {
      return queue;
    },
    get bull() {
      return bull;
    },
    get consumers() {
      return consumers;
    },
    start: (options = {}, handle = () => {}) => {
      const connections = breakableConnections(redisUrl);
      const { connect } = connections;
      const consumer = open({ redisUrl, prefix, model: 'minnow', capacity: 8, connect, ...options });
      const started: Started = { consumer, jobs: [], facts: [], connections };
      consumers.push(consumer);
      consumer.observe((fact) => started.facts.push(fact));
      consumer.start((job) => {
        started.jobs.push(job);
        handle(job);
      });
      return started;
    },
    deadly: async (started) => {
      started.connections.kill();
      consumers.splice(consumers.indexOf(started.consumer), 1);
      // The dead one's timers must not outlive the test; closing it writes nothing any more.
      void started.consumer.close({ timeoutMs: 0 });
    },
    submit: (id, priority = 5) =>
      queue.producer.submit(sampleRequest({ replyTo: queue.replies.replyTo }), { id, priority }),
    status: async (id) => (await queue.producer.view(id))?.status,
    bulk: (jobIds, fields) =>
      bull.addBulk(
        jobIds.map((jobId) => ({ name: 'generate', data: sampleRequest(fields), opts: { jobId, priority: 6 } })),
      ),
    listeners: async (name) =>
      String(await redis.client('LIST'))
        .split('\n')
        .filter((line) => line.includes(name) && line.includes('cmd=bzpopmin')).length,
  };
}

/** Ends a job with a result of no tokens. */
export function complete(job: ClaimedJob): void {
  void job.complete(sampleResult(0));
}

/** `job-0`, `job-1` … */
export function ids(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `job-${n}`);
}
