import { randomUUID } from 'node:crypto';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { z } from 'zod';
import { promptly } from './connection.ts';
import { KEEP_STREAM } from './lua/attach.ts';
import { dropConnection } from './reconnection.ts';
import type { RedisClient } from './redis-address.ts';
import { type ReplySource, type ReplySourceOptions, readTold } from './reply-source.ts';

/** How much longer than it blocks Redis may stay silent to a read before the connection is made anew. */
const WATCHDOG_MARGIN_MS = 3_000;
const ENTRIES_PER_READ = 1_000;
/** The stream outlives its producer by at most this; it is kept alive four times as often. */
const STREAM_TTL_MS = 60_000;
const RETRY_DELAY_MS = 100;

const StreamReply = z.array(z.tuple([z.string(), z.array(z.tuple([z.string(), z.array(z.string())]))])).nullable();

export interface ReplyStreamOptions extends ReplySourceOptions {
  commands: RedisClient;
  blocking: RedisClient;
}

/**
 * A producer's reply stream, for a Redis Cluster, which would send what is published to all of its nodes: made and kept
 * alive by the producer, and read with one blocking XREAD.
 */
export class ReplyStream implements ReplySource {
  readonly replyTo: string = randomUUID();
  readonly #options: ReplyStreamOptions;
  readonly #key: string;
  readonly #timer: NodeJS.Timeout;
  #lastId = '0-0';
  #closed = false;
  reachedAt: number = performance.now();

  constructor(options: ReplyStreamOptions) {
    this.#options = options;
    this.#key = options.keys.replies(this.replyTo);
    const keep = (): void => void this.open().catch(() => {});
    this.#timer = setInterval(keep, STREAM_TTL_MS / 4);
    this.#timer.unref();
    options.blocking.on('ready', keep);
    void this.#readLoop();
  }

  /** Makes the stream, or renews its life. */
  async open(): Promise<void> {
    if (this.#closed) return;
    const { commands, keys, onOpen } = this.#options;
    const reply = await promptly(commands, (redis) => KEEP_STREAM.run(redis, keys.bull, [this.#key, STREAM_TTL_MS]));
    const firstId = z.string().parse(reply);
    if (firstId === '') return;
    this.#lastId = firstId;
    onOpen();
  }

  renew(): void {
    dropConnection(this.#options.blocking);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await promptly(this.#options.commands, (redis) => redis.unlink(this.#key)).catch(() => {});
    this.#options.blocking.disconnect();
  }

  async #readLoop(): Promise<void> {
    while (!this.#closed) {
      try {
        const reply = await this.#read();
        this.reachedAt = performance.now();
        for (const [, entries] of StreamReply.parse(reply) ?? []) this.#deliver(entries);
        // What was delivered is on its way to its readers before the next is asked for: asking is a system call, too.
        await turn();
      } catch {
        // The connection broke, or the stream's content is not ours: the next read, or a look-up, makes it good.
        if (!this.#closed) await sleep(RETRY_DELAY_MS);
      }
    }
  }

  /** XREAD, with a watchdog: ioredis may lose track of a blocking command when a connection dies without a word. */
  async #read(): Promise<unknown> {
    const { blocking, restMs } = this.#options;
    const watchdog = setTimeout(() => this.renew(), restMs + WATCHDOG_MARGIN_MS);
    watchdog.unref();
    try {
      return await blocking.xread('COUNT', ENTRIES_PER_READ, 'BLOCK', restMs, 'STREAMS', this.#key, this.#lastId);
    } finally {
      clearTimeout(watchdog);
    }
  }

  #deliver(entries: [string, string[]][]): void {
    for (const [entryId, [, text = '']] of entries) {
      this.#lastId = entryId;
      readTold(text, this.#options.onEvents);
    }
  }
}
