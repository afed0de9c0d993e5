import { setTimeout as sleep } from 'node:timers/promises';
import { isOutage } from './connection.ts';
import type { ModelKeys } from './keys.ts';
import { CALL, TAKE_BACK } from './lua/call.ts';
import type { RedisClient } from './redis-address.ts';
import { decodeCall, type RawClaim } from './step-codec.ts';

const RETRY_DELAY_MS = 250;

export interface WaitingClaimOptions {
  keys: ModelKeys;
  /** A connection of its own commands, which come through in the end. */
  commands: RedisClient;
  stepId: string;
  worker: string;
  lockMs: number;
  /** At most this many jobs. */
  wanted: number;
  /** Slots that are free, of which the jobs are a share while others stand idle. */
  free: number;
  /** Called when it can give no more, with what it gave; once more if it gave something all the same. */
  onSettled(claims: RawClaim[]): void;
}

/**
 * A claim that is sent right behind `BZPOPMIN`: Redis runs it the moment that the call comes, so that no round trip lies
 * between a job and its claim, and runs nothing for a connection that is gone. Until then it may be taken back.
 */
export class WaitingClaim {
  readonly #options: WaitingClaimOptions;
  #settled = false;
  #gave = false;
  #takenBack: Promise<void> | undefined;

  constructor(options: WaitingClaimOptions) {
    this.#options = options;
  }

  get wanted(): number {
    return this.#options.wanted;
  }

  /** Sends it on the connection that listens. Resolves, when it is settled, to true if there may be more to do. */
  async send(listening: RedisClient): Promise<boolean> {
    const { keys, stepId, lockMs, worker, wanted, free } = this.#options;
    try {
      const reply = await CALL.run(listening, keys.bull, [keys.bull, keys.own, stepId, lockMs, worker, wanted, free]);
      const { claims, more } = decodeCall(reply);
      this.#settle(claims);
      return more;
    } catch {
      // Redis may have run it all the same.
      await this.takeBack();
      return true;
    }
  }

  /** Resolves once it can give no more jobs, and is settled. Waits for Redis as long as Redis is away. */
  takeBack(): Promise<void> {
    this.#takenBack ??= this.#takeBack();
    return this.#takenBack;
  }

  async #takeBack(): Promise<void> {
    const { keys, commands, stepId } = this.#options;
    while (!this.#settled) {
      try {
        this.#settle(decodeCall(await TAKE_BACK.run(commands, keys.bull, [keys.bull, keys.own, stepId])).claims);
      } catch (error) {
        // For good, or because nobody is there to ask any more: what it gave comes back when its lock lapses.
        if (!isOutage(error) || commands.status === 'end') this.#settle([]);
        else await sleep(RETRY_DELAY_MS, undefined, { ref: false });
      }
    }
  }

  #settle(claims: RawClaim[]): void {
    if (this.#settled && (this.#gave || claims.length === 0)) return;
    this.#settled = true;
    this.#gave ||= claims.length > 0;
    this.#options.onSettled(claims);
  }
}
