import type { ModelKeys } from './keys.ts';
import { KEEP_QUARANTINE } from './lua/quarantine.ts';
import { QUARANTINE_MS } from './lua/suspects.ts';
import type { RedisClient } from './redis-address.ts';

const KEEP_INTERVAL_MS = QUARANTINE_MS / 6;

/**
 * A worker that empties itself for suspects keeps others from doing the same. The claim that told it to has said so; it asks
 * for no more jobs meanwhile, so this says it again for as long as it takes.
 */
export class Quarantine {
  readonly #redis: RedisClient;
  readonly #keys: ModelKeys;
  readonly #worker: string;
  readonly #onTaken: () => void;
  #timer: NodeJS.Timeout | undefined;

  /** `onTaken` is called when another worker empties itself in its place. */
  constructor(options: { redis: RedisClient; keys: ModelKeys; worker: string; onTaken(): void }) {
    this.#redis = options.redis;
    this.#keys = options.keys;
    this.#worker = options.worker;
    this.#onTaken = options.onTaken;
  }

  /** True from `begin` to `end`. */
  get on(): boolean {
    return this.#timer !== undefined;
  }

  begin(): void {
    this.#timer ??= setInterval(() => void this.#keep().catch(() => {}), KEEP_INTERVAL_MS).unref();
  }

  end(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  async #keep(): Promise<void> {
    const kept = await KEEP_QUARANTINE.run(this.#redis, this.#keys.bull, [this.#keys.own, this.#worker]);
    if (kept === 0 && this.on) this.#onTaken();
  }
}
