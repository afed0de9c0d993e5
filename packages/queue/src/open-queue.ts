import { Queue } from 'bullmq';
import { type Connect, connector, promptly } from './connection.ts';
import { modelKeys } from './keys.ts';
import type { Producer } from './producer.ts';
import { openProducer, type ProducerOptions } from './queue-producer.ts';
import type { Replies } from './replies.ts';
import { openReplies, type RepliesOptions } from './reply-reader.ts';

/** Both sides that a service needs of one model's queue. */
export interface ModelQueue {
  readonly producer: Producer;
  readonly replies: Replies;
  /** Resolves when Redis answers and replies can arrive; rejects with `unavailable`. */
  ready(): Promise<void>;
  close(): Promise<void>;
}

/** Opens a model's queue for a service. Returns at once; Redis may come later. */
export function openQueue(options: ProducerOptions & RepliesOptions): ModelQueue {
  const producer = openProducer(options);
  const replies = openReplies(options);
  // Begun now, so that the first request is heard; `ready` tells how it went.
  replies.ready().catch(() => {});
  return {
    producer,
    replies,
    ready: () => replies.ready(),
    close: async () => {
      await Promise.all([producer.close(), replies.close()]);
    },
  };
}

/** BullMQ's own view of a model's queue, for Bull Board. The caller closes it. */
export function openBullQueue(options: { redisUrl: string; prefix: string; model: string; connect?: Connect }): Queue {
  const keys = modelKeys(options.prefix, options.model);
  const connection = (options.connect ?? connector(options.redisUrl))('commands');
  const queue = new Queue(keys.queueName, { connection, prefix: keys.bullPrefix });
  queue.on('error', () => {});
  const close = queue.close.bind(queue);
  queue.close = async () => {
    await close();
    connection.disconnect();
  };
  return queue;
}

/** Whether Redis answers. */
export interface RedisHealth {
  /** Milliseconds of a round trip; rejects with `unavailable` within about two seconds. */
  ping(): Promise<number>;
  close(): void;
}

export function openHealth(options: { redisUrl: string; connect?: Connect }): RedisHealth {
  const redis = (options.connect ?? connector(options.redisUrl))('commands-now');
  return {
    ping: async () => {
      const startedAt = performance.now();
      await promptly(redis, (connected) => connected.ping());
      return performance.now() - startedAt;
    },
    close: () => redis.disconnect(),
  };
}
