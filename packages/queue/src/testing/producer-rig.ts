import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterEach, beforeEach } from 'vitest';
import type { Producer } from '../producer.ts';
import { openProducer, type ProducerOptions } from '../queue-producer.ts';

/** A queue for producers, new for every test: `open` may be taken out of it, its fields are read anew. */
export interface ProducerRig {
  readonly prefix: string;
  readonly redis: Redis;
  /** A producer that is closed after the test. */
  open(options?: Partial<ProducerOptions>): Producer;
}

/** Gives each test of the `describe` that calls it a queue of its own, and closes after it what it has opened. */
export function producerRig(redisUrl: string, model: string): ProducerRig {
  let prefix: string;
  let redis: Redis;
  let opened: Producer[];

  beforeEach(() => {
    prefix = `test-${randomUUID()}`;
    redis = new Redis(redisUrl);
    opened = [];
  });
  afterEach(async () => {
    await Promise.all(opened.map((producer) => producer.close()));
    redis.disconnect();
  });

  return {
    get prefix() {
      return prefix;
    },
    get redis() {
      return redis;
    },
    open: (options = {}) => {
      const producer = openProducer({ redisUrl, prefix, model, ...options });
      opened.push(producer);
      return producer;
    },
  };
}
