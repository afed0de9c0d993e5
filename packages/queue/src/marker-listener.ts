import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { ModelKeys } from './keys.ts';

/** Longest time without a look; BullMQ blocks no longer either. */
const LONGEST_BLOCK_MS = 10_000;
const WATCHDOG_MARGIN_MS = 3_000;
const RETRY_DELAY_MS = 200;

/**
 * Waits, blocked inside Redis, for BullMQ's marker: the sorted set that BullMQ fills when jobs may be had. Member `0`
 * calls one waiting worker; member `1` carries the time of the next delayed job.
 */
export class MarkerListener {
  readonly #blocking: Redis;
  readonly #commands: Redis;
  readonly #key: string;
  readonly #onCall: () => void;
  #listening = false;
  #closed = false;
  /** False while this worker takes nothing: a call that arrives is passed on. */
  wanted = false;

  constructor(blocking: Redis, commands: Redis, keys: ModelKeys, onCall: () => void) {
    this.#blocking = blocking;
    this.#commands = commands;
    this.#key = `${keys.bull}marker`;
    this.#onCall = onCall;
  }

  /** Listens for one call, or until a delayed job is due, or for at most ten seconds. */
  listen(nextDelayedAt: number): void {
    if (this.#listening || this.#closed) return;
    this.#listening = true;
    void this.#listen(nextDelayedAt).finally(() => {
      this.#listening = false;
      if (!this.#closed && this.wanted) this.#onCall();
    });
  }

  close(): void {
    this.#closed = true;
    this.#blocking.disconnect();
  }

  async #listen(nextDelayedAt: number): Promise<void> {
    let until = Date.now() + LONGEST_BLOCK_MS;
    if (nextDelayedAt > 0) until = Math.min(until, nextDelayedAt);
    while (!this.#closed && this.wanted && Date.now() < until) {
      const call = await this.#block(until - Date.now());
      if (call === undefined) return;
      if (call <= Date.now()) {
        if (!this.wanted && !this.#closed) await this.#commands.zadd(this.#key, 0, '0');
        return;
      }
      until = Math.min(until, call);
    }
  }

  /** The score of the marker that was taken; undefined after `timeoutMs`, or when the connection broke. */
  async #block(timeoutMs: number): Promise<number | undefined> {
    const watchdog = setTimeout(() => this.#blocking.disconnect(true), timeoutMs + WATCHDOG_MARGIN_MS);
    watchdog.unref();
    try {
      const reply = await this.#blocking.bzpopmin(this.#key, Math.max(timeoutMs, 1) / 1000);
      return reply === null ? undefined : Number(reply[2]);
    } catch {
      await sleep(RETRY_DELAY_MS, undefined, { ref: false });
      return undefined;
    } finally {
      clearTimeout(watchdog);
    }
  }
}
