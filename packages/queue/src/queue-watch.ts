import { type ErrorBody, ShoalError } from '@shoal/protocol';
import { z } from 'zod';
import type { ConsumerSettings } from './consumer-options.ts';
import { deadlineExceeded } from './held-job.ts';
import { type ModelKeys, recordTtlMs } from './keys.ts';
import { WATCH } from './lua/watch.ts';
import type { RedisClient } from './redis-address.ts';

export interface QueueWatchOptions {
  redis: RedisClient;
  keys: ModelKeys;
  settings: ConsumerSettings;
  /** Jobs of workers that died were put back. */
  onRecovered(jobIds: string[]): void;
  /** A job was given up, because workers die of it. */
  onGivenUp(jobId: string): void;
  onError(message: string): void;
}

const WatchReply = z.tuple([z.array(z.string()), z.array(z.string())]);

/** The script turns away whoever comes before the interval is over; who comes more often comes soon after it. */
const LOOKS_PER_INTERVAL = 4;

/** Looks after the queue at every interval; of all workers, the first to come does it (lua/watch.ts). */
export class QueueWatch {
  readonly #options: QueueWatchOptions;
  readonly #args: (string | number)[];
  #timer: NodeJS.Timeout | undefined;
  #looking = false;

  constructor(options: QueueWatchOptions) {
    const { keys, settings } = options;
    const { resultTtlS, repliesMax, stalledIntervalMs, maxAttempts } = settings;
    const lost = JSON.stringify(workerLost(`its worker died ${maxAttempts} times while it ran alone`));
    const late = JSON.stringify(deadlineExceeded().toBody());
    this.#options = options;
    this.#args = [
      ...[keys.bull, keys.own, resultTtlS * 1000, repliesMax, resultTtlS],
      ...[stalledIntervalMs, maxAttempts, lost, recordTtlMs(resultTtlS), late, keys.cancelChannel],
    ];
  }

  start(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setInterval(() => void this.#look(), this.#options.settings.stalledIntervalMs / LOOKS_PER_INTERVAL);
    this.#timer.unref();
    void this.#look();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** One look at a time: while Redis is away they would pile up. One that fails is made good by the next. */
  async #look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    const { redis, keys, onRecovered, onGivenUp, onError } = this.#options;
    try {
      const [stalled, givenUp] = WatchReply.parse(await WATCH.run(redis, keys.bull, this.#args));
      const recovered = stalled.filter((id) => !givenUp.includes(id));
      if (recovered.length > 0) onRecovered(recovered);
      for (const id of givenUp) onGivenUp(id);
    } catch (error) {
      onError(
        `looking for lost jobs failed: ${error instanceof Error ? error.message.slice(0, 200) : 'unknown error'}`,
      );
    } finally {
      this.#looking = false;
    }
  }
}

/** The error of a request that is given up because workers die of it. */
export function workerLost(reason: string): ErrorBody {
  return new ShoalError('worker_lost', `the request was given up: ${reason}`).toBody();
}
