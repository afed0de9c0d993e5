import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { promptly, unavailable } from './connection.ts';
import { ON_CHANNEL } from './lua/readers.ts';
import type { RedisClient } from './redis-address.ts';
import { type ReplySource, type ReplySourceOptions, readTold } from './reply-source.ts';

/** How often Redis is asked for a sign of life, so that the silence of one that is gone is not taken for rest. */
const PING_MS = 5_000;
/** How long whoever opens it waits for Redis. */
const LONGEST_OPENING_MS = 1_000;

export interface ReplyChannelOptions extends ReplySourceOptions {
  /** Nothing else uses it. */
  subscriber: RedisClient;
}

/**
 * A producer's reply channel: Redis pushes what is told, and is asked for nothing. What is published while the connection
 * is down is gone: whoever waits then reads the token log.
 */
export class ReplyChannel implements ReplySource {
  readonly replyTo: string = `${ON_CHANNEL}${randomUUID()}`;
  readonly #subscriber: RedisClient;
  readonly #channel: string;
  readonly #onOpen: () => void;
  readonly #timer: NodeJS.Timeout;
  #pinging = false;
  reachedAt: number = performance.now();

  constructor({ subscriber, keys, onEvents, onOpen }: ReplyChannelOptions) {
    this.#subscriber = subscriber;
    this.#channel = keys.replies(this.replyTo);
    this.#onOpen = onOpen;
    subscriber.on('message', (_channel: string, text: string) => {
      this.reachedAt = performance.now();
      readTold(text, onEvents);
    });
    // ioredis subscribes again by itself, too, but does not say when Redis has answered.
    subscriber.on('ready', () => void this.#subscribe().catch(() => {}));
    this.#timer = setInterval(() => void this.#ping(), PING_MS);
    this.#timer.unref();
  }

  open(): Promise<void> {
    return promptly(this.#subscriber, () => this.#inTime(this.#subscribe()));
  }

  close(): Promise<void> {
    clearInterval(this.#timer);
    this.#subscriber.disconnect();
    return Promise.resolve();
  }

  async #subscribe(): Promise<void> {
    await this.#subscriber.subscribe(this.#channel);
    this.reachedAt = performance.now();
    this.#onOpen();
  }

  async #inTime(subscribed: Promise<void>): Promise<void> {
    const answered = new AbortController();
    const late = sleep(LONGEST_OPENING_MS, undefined, { signal: answered.signal });
    try {
      await Promise.race([subscribed, late.then(() => Promise.reject(unavailable()))]);
    } finally {
      answered.abort();
    }
  }

  /** One at a time: while Redis is away, none pile up behind it. */
  async #ping(): Promise<void> {
    if (this.#pinging || this.#subscriber.status !== 'ready') return;
    this.#pinging = true;
    try {
      await this.#subscriber.ping();
      this.reachedAt = performance.now();
    } catch {
      // The connection is closed, or made anew.
    } finally {
      this.#pinging = false;
    }
  }
}
