import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisProbe } from '../cluster/redis-probe.ts';

const LOOK_EVERY_MS = 15;

/** Sees when jobs are claimed again: by looking often, on a connection of its own. */
export class ClaimsWatch {
  /** Unix milliseconds of the first new claim, by job id. */
  readonly claimedAt = new Map<string, number>();
  #running = true;
  readonly #looking: Promise<void>;

  constructor(probe: RedisProbe, ids: readonly string[]) {
    this.#looking = this.#look(probe, ids);
  }

  async stop(): Promise<void> {
    this.#running = false;
    await this.#looking;
  }

  async #look(probe: RedisProbe, ids: readonly string[]): Promise<void> {
    const before = await probe.claims(ids);
    while (this.#running) {
      const now = await probe.claims(ids);
      for (const [index, id] of ids.entries()) {
        const again = (now[index] ?? 0) > Math.max(1, before[index] ?? 0);
        if (again && !this.claimedAt.has(id)) this.claimedAt.set(id, Date.now());
      }
      await sleep(LOOK_EVERY_MS);
    }
  }
}
