import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { inOneWrite } from './connection.ts';
import type { ModelKeys } from './keys.ts';
import { dropConnection } from './reconnection.ts';
import type { RedisClient } from './redis-address.ts';
import type { WaitingClaim } from './waiting-claim.ts';

/** Longest time without a look; BullMQ blocks no longer either. */
const LONGEST_BLOCK_MS = 10_000;
const WATCHDOG_MARGIN_MS = 3_000;
const RETRY_DELAY_MS = 200;
/** Shortest time from one call for a delayed job to the next: many may be added in a row, and each one calls. */
const DELAYED_CALL_INTERVAL_MS = 50;

/**
 * Waits, blocked inside Redis, for BullMQ's marker: the sorted set that BullMQ fills when jobs may be had. Member `0`
 * calls one waiting worker, whose claim waits right behind. Member `1` carries the time of the next delayed job, by a clock
 * that is not this machine's: whoever gets it asks, and is told how long that is from now.
 */
export class MarkerListener {
  readonly #blocking: RedisClient;
  readonly #commands: RedisClient;
  readonly #key: string;
  readonly #canTake: () => boolean;
  readonly #prepare: () => WaitingClaim | undefined;
  readonly #onCall: () => void;
  #listening = false;
  #heard: Promise<void> = Promise.resolve();
  #delayedCallAt = Number.NEGATIVE_INFINITY;
  #closed = false;

  /**
   * A call that comes while `canTake` is false is passed on to another worker. `onCall` follows either way, unless the
   * claim that `prepare` gave for the call says that there is nothing more to be had.
   */
  constructor(options: {
    blocking: RedisClient;
    commands: RedisClient;
    keys: ModelKeys;
    canTake(): boolean;
    prepare(): WaitingClaim | undefined;
    onCall(): void;
  }) {
    this.#blocking = options.blocking;
    this.#commands = options.commands;
    this.#key = `${options.keys.bull}marker`;
    this.#canTake = options.canTake;
    this.#prepare = options.prepare;
    this.#onCall = options.onCall;
  }

  /** Listens for one call, or until a delayed job is due (0: there is none), or for at most ten seconds. */
  listen(nextDelayedMs: number): void {
    if (this.#listening || this.#closed) return;
    this.#listening = true;
    this.#heard = this.#listen(nextDelayedMs).finally(() => {
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

  async #listen(nextDelayedMs: number): Promise<void> {
    let timeoutMs = Math.min(nextDelayedMs || LONGEST_BLOCK_MS, LONGEST_BLOCK_MS);
    for (let more = false; !more && !this.#closed; timeoutMs = LONGEST_BLOCK_MS) {
      // Of a Cluster's connections none is known to be that of the call, and all send again what they lost.
      const claim = this.#blocking instanceof Redis ? this.#prepare() : undefined;
      let answered = Promise.resolve(true);
      let call = Promise.resolve<string | undefined>(undefined);
      inOneWrite(this.#blocking, () => {
        call = this.#block(timeoutMs);
        if (claim !== undefined) answered = claim.send(this.#blocking);
      });
      const member = await call;
      more = await answered;
      if (member === '0' && more && !this.#canTake()) await this.#passOn();
      if (member === '1') await this.#spaceOut();
      // The choices of few jobs may fill it: then a call for one more would be lost on it.
      more ||= !this.#canTake();
    }
  }

  async #spaceOut(): Promise<void> {
    const wait = this.#delayedCallAt + DELAYED_CALL_INTERVAL_MS - performance.now();
    if (wait > 0) await sleep(wait, undefined, { ref: false });
    this.#delayedCallAt = performance.now();
  }

  /** Best effort: a call that cannot be passed on is made good by the look that every idle worker takes now and then. */
  async #passOn(): Promise<void> {
    await this.#commands.zadd(this.#key, 0, '0').catch(() => {});
  }

  /** The marker that was taken; undefined after `timeoutMs`, or when the connection broke. */
  async #block(timeoutMs: number): Promise<string | undefined> {
    const watchdog = setTimeout(() => dropConnection(this.#blocking), timeoutMs + WATCHDOG_MARGIN_MS);
    watchdog.unref();
    try {
      const reply = await this.#blocking.bzpopmin(this.#key, timeoutMs / 1000);
      return reply?.[1];
    } catch {
      if (!this.#closed) await sleep(RETRY_DELAY_MS, undefined, { ref: false });
      return undefined;
    } finally {
      clearTimeout(watchdog);
    }
  }
}
