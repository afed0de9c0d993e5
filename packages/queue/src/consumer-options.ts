import type { Connect } from './connection.ts';

/** What both consumers take. Durations in milliseconds unless the name says otherwise. */
export interface ConsumerOptions {
  redisUrl: string;
  /** `QUEUE_PREFIX`. */
  prefix: string;
  model: string;
  /** Most jobs held at once: the engine's slots, or with static batching twice its batch. */
  capacity: number;
  /**
   * Jobs held beyond that, for the slots that are free next: claimed only while nobody is idle and more wait than this
   * worker holds. Default 0.
   */
  prefetch?: number;
  /** Unique among live workers; default a random one. */
  worker?: string;
  /** A worker that is silent for longer loses its jobs. Default 5,000. */
  lockDurationMs?: number;
  /** How often lost jobs are looked for. Default 2,500. */
  stalledIntervalMs?: number;
  /** How long a request of a newer version may wait for a newer worker. Default 60,000. */
  maxQueueWaitMs?: number;
  /** Seconds that results and token logs are kept. Default 3,600. */
  resultTtlS?: number;
  /** Entries that one producer's reply stream keeps on a Cluster. Default 20,000. */
  repliesMax?: number;
  /** Deaths of a worker that runs one job alone, before that job fails with `worker_lost`. Default 3. */
  maxAttempts?: number;
  /**
   * Tokens of steps shorter than this share a round trip: Redis' load follows time, not speed. Default 20. With more
   * than 16 jobs it is longer in proportion, up to 2.5 times, except for the first tokens of a claim.
   */
  emitIntervalMs?: number;
  /** Tokens that nobody reads as they come wait for others so long. Default 250. */
  restMs?: number;
  /** False while the engine hangs: the jobs' locks are then left to lapse. Default: always true. */
  alive?: () => boolean;
  /** For tests: how connections are made. */
  connect?: Connect;
}

export type ConsumerSettings = Required<Omit<ConsumerOptions, 'connect'>> & Pick<ConsumerOptions, 'connect'>;

export function consumerSettings(options: ConsumerOptions, worker: string): ConsumerSettings {
  return {
    worker,
    prefetch: 0,
    lockDurationMs: 5_000,
    stalledIntervalMs: 2_500,
    maxQueueWaitMs: 60_000,
    resultTtlS: 3_600,
    repliesMax: 20_000,
    maxAttempts: 3,
    emitIntervalMs: 20,
    restMs: 250,
    alive: () => true,
    ...options,
  };
}
