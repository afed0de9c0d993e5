import { setTimeout as sleep } from 'node:timers/promises';
import type { ModelKeys } from './keys.ts';
import type { RedisClient } from './redis-address.ts';

/** Longest time without a look; BullMQ blocks no longer either. */
const LONGEST_BLOCK_MS = 10_000;
const WATCHDOG_MARGIN_MS = 3_000;
const RETRY_DELAY_MS = 200;

/**
 * Waits, blocked inside Redis, for BullMQ's marker: the sorted set that BullMQ fills when jobs may be had. Member `0`
 * calls one waiting worker; member `1` carries the time of the next delayed job.
 */
export class MarkerListener {
  readonly #blocking: RedisClient;
  readonly #commands: RedisClient;
  readonly #key: string;
  readonly #canTake: () => boolean;
  readonly #onCall: () => void;
  #listening = false;
  #heard: Promise<void> = Promise.resolve();
  #closed = false;

  /** A call that comes while `canTake` is false is passed on to another worker; `onCall` follows either way. */
  constructor(options: {
    blocking: RedisClient;
    commands: RedisClient;
    keys: ModelKeys;
    canTake(): boolean;
    onCall(): void;
  }) {
    this.#blocking = options.blocking;
    this.#commands = options.commands;
    this.#key = `${options.keys.bull}marker`;
    this.#canTake = options.canTake;
    this.#onCall = options.onCall;
  }

  /** Listens for one call, or until a delayed job is due, or for at most ten seconds. */
  listen(nextDelayedAt: number): void {
    if (this.#listening || this.#closed) return;
    this.#listening = true;
    this.#heard = this.#listen(nextDelayedAt).finally(() => {
      this.#listening = false;
      if (!this.#closed) this.#onCall();
    });
  }

  /**
   * Resolves once Redis knows that nobody listens here: until then it may give this connection a call that is meant for
   * another worker. One that it gave before is passed on.
   */
  async close(): Promise<void> {
    this.#closed = true;
    const connected = this.#blocking.status === 'ready';
    const ended = new Promise<void>((resolve) => this.#blocking.once('end', () => resolve()));
    this.#blocking.disconnect();
    if (connected) await ended;
    await this.#heard;
  }

  async #listen(nextDelayedAt: number): Promise<void> {
    let until = Date.now() + LONGEST_BLOCK_MS;
    if (nextDelayedAt > 0) until = Math.min(until, nextDelayedAt);
    while (!this.#closed && Date.now() < until) {
      const call = await this.#block(until - Date.now());
      if (call === undefined) return;
      if (call <= Date.now()) {
        if (!this.#canTake()) await this.#passOn();
        return;
      }
      until = Math.min(until, call);
    }
  }

  /** Best effort: a call that cannot be passed on is made good by the look that every idle worker takes now and then. */
  async #passOn(): Promise<void> {
    await this.#commands.zadd(this.#key, 0, '0').catch(() => {});
  }

  /** The score of the marker that was taken; undefined after `timeoutMs`, or when the connection broke. */
  async #block(timeoutMs: number): Promise<number | undefined> {
    const watchdog = setTimeout(() => this.#blocking.disconnect(true), timeoutMs + WATCHDOG_MARGIN_MS);
    watchdog.unref();
    try {
      const reply = await this.#blocking.bzpopmin(this.#key, Math.max(timeoutMs, 1) / 1000);
      return reply === null ? undefined : Number(reply[2]);
    } catch {
      if (!this.#closed) await sleep(RETRY_DELAY_MS, undefined, { ref: false });
      return undefined;
    } finally {
      clearTimeout(watchdog);
    }
  }
}
