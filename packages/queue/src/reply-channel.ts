import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { isOutage, promptly, unavailable } from './connection.ts';
import { ON_CHANNEL } from './lua/readers.ts';
import { dropConnection } from './reconnection.ts';
import type { RedisClient } from './redis-address.ts';
import { type ReplySource, type ReplySourceOptions, readTold } from './reply-source.ts';

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
  /** Redis has confirmed the subscription on this very connection. */
  #hears = false;
  /** What was asked for a sign of life, and is not answered yet. */
  #asking = false;
  reachedAt: number = performance.now();

  constructor({ subscriber, keys, restMs, onEvents, onOpen }: ReplyChannelOptions) {
    this.#subscriber = subscriber;
    this.#channel = keys.replies(this.replyTo);
    this.#onOpen = onOpen;
    subscriber.on('message', (_channel: string, text: string) => {
      this.reachedAt = performance.now();
      // It may come with the confirmation, which is told a moment later than it was received.
      if (!this.#hears) this.#hear();
      readTold(text, onEvents);
    });
    subscriber.on('close', () => {
      this.#hears = false;
    });
    subscriber.on('ready', () => void this.#subscribe().catch(() => {}));
    this.#timer = setInterval(() => void this.#askForSign(), restMs);
    this.#timer.unref();
  }

  open(): Promise<void> {
    return promptly(this.#subscriber, () => this.#inTime(this.#subscribe()));
  }

  renew(): void {
    // Where it is refused, another connection would be, too.
    if (this.#hears) dropConnection(this.#subscriber);
  }

  close(): Promise<void> {
    clearInterval(this.#timer);
    this.#subscriber.disconnect();
    return Promise.resolve();
  }

  async #subscribe(): Promise<void> {
    await this.#subscriber.subscribe(this.#channel);
    this.reachedAt = performance.now();
    if (!this.#hears) this.#hear();
  }

  #hear(): void {
    this.#hears = true;
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

  /** One at a time: while Redis is away, none pile up behind it. A subscription that was refused is tried again. */
  async #askForSign(): Promise<void> {
    if (this.#asking || this.#subscriber.status !== 'ready') return;
    this.#asking = true;
    try {
      if (this.#hears) await this.#subscriber.ping();
      else await this.#subscribe();
      this.reachedAt = performance.now();
    } catch (error) {
      // A refusal is a sign of life, too.
      if (!isOutage(error)) this.reachedAt = performance.now();
    } finally {
      this.#asking = false;
    }
  }
}
