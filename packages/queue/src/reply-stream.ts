import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import type { RequestEvent } from '@shoal/protocol';
import { z } from 'zod';
import { promptly } from './connection.ts';
import type { ModelKeys } from './keys.ts';
import { readReply } from './log-entry.ts';
import { KEEP_STREAM } from './lua/attach.ts';
import { dropConnection } from './reconnection.ts';
import type { RedisClient } from './redis-address.ts';

const BLOCK_MS = 5_000;
/** How long Redis may stay silent to a blocking read before the connection is made anew. */
const WATCHDOG_MS = BLOCK_MS + 3_000;
const ENTRIES_PER_READ = 1_000;
/** The stream outlives its producer by at most this; it is kept alive four times as often. */
const STREAM_TTL_MS = 60_000;
const RETRY_DELAY_MS = 100;

const StreamReply = z.array(z.tuple([z.string(), z.array(z.tuple([z.string(), z.array(z.string())]))])).nullable();

export interface ReplyStreamOptions {
  commands: RedisClient;
  blocking: RedisClient;
  keys: ModelKeys;
  replyTo: string;
  /** `undefined` when what was written for the job cannot be read. */
  onEvents(jobId: string, events: RequestEvent[] | undefined): void;
  /** The stream was not there: anything may have been missed. */
  onMade(): void;
}

/** One producer's reply stream: made and kept alive, and read with one blocking XREAD. */
export class ReplyStream {
  readonly #options: ReplyStreamOptions;
  readonly #key: string;
  readonly #timer: NodeJS.Timeout;
  #lastId = '0-0';
  #closed = false;
  /** When Redis last answered the blocking read, by `performance.now()`: the time of day may be set meanwhile. */
  reachedAt: number = performance.now();

  constructor(options: ReplyStreamOptions) {
    this.#options = options;
    this.#key = options.keys.replies(options.replyTo);
    const keep = (): void => void this.keep().catch(() => {});
    this.#timer = setInterval(keep, STREAM_TTL_MS / 4);
    this.#timer.unref();
    options.blocking.on('ready', keep);
    void this.#readLoop();
  }

  /** Makes the stream, or renews its life; rejects with `unavailable`. */
  async keep(): Promise<void> {
    if (this.#closed) return;
    const { commands, keys, onMade } = this.#options;
    const reply = await promptly(commands, (redis) => KEEP_STREAM.run(redis, keys.bull, [this.#key, STREAM_TTL_MS]));
    const firstId = z.string().parse(reply);
    if (firstId === '') return;
    this.#lastId = firstId;
    onMade();
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
    const { blocking } = this.#options;
    const watchdog = setTimeout(() => dropConnection(blocking), WATCHDOG_MS);
    watchdog.unref();
    try {
      return await blocking.xread('COUNT', ENTRIES_PER_READ, 'BLOCK', BLOCK_MS, 'STREAMS', this.#key, this.#lastId);
    } finally {
      clearTimeout(watchdog);
    }
  }

  /** The field of an entry holds lines: a job's id, and what happened to it, in turn. */
  #deliver(entries: [string, string[]][]): void {
    for (const [entryId, [, value = '']] of entries) {
      this.#lastId = entryId;
      const lines = value.split('\n');
      for (let at = 0; at + 1 < lines.length; at += 2) {
        this.#options.onEvents(lines[at] ?? '', readReply(lines[at + 1] ?? ''));
      }
    }
  }
}
