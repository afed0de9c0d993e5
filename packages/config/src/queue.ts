import { choice, integer } from './kinds.ts';
import type { SettingsTable } from './setting.ts';

/** The rules of the queue. Set them alike for all processes of an installation. */
export interface QueueConfig {
  lockDurationMs: number;
  stalledIntervalMs: number;
  durability: 'local' | 'replicated';
  maxQueueSize: number;
  maxQueueWaitMs: number;
  resultTtlS: number;
}

export const queueSettings: SettingsTable<QueueConfig> = {
  lockDurationMs: {
    ...integer(500, 600_000),
    env: 'LOCK_DURATION_MS',
    default: 5000,
    unit: 'ms',
    doc: 'How long a worker holds a job without a sign of life. Shorter finds dead workers sooner, longer forgives pauses.',
  },
  stalledIntervalMs: {
    ...integer(250, 600_000),
    env: 'STALLED_INTERVAL_MS',
    default: 2500,
    unit: 'ms',
    doc: 'How often jobs of dead workers are looked for; at most `LOCK_DURATION_MS`.',
  },
  durability: {
    ...choice(['local', 'replicated']),
    env: 'DURABILITY',
    default: 'local',
    doc: '`replicated` accepts a request only when a replica of Redis has it too, so that a failover right after does not lose it; not with a Redis Cluster.',
  },
  maxQueueSize: {
    ...integer(1, 10_000_000),
    env: 'MAX_QUEUE_SIZE',
    default: 10_000,
    unit: 'jobs',
    doc: 'Most waiting requests per model, and most callers that one API process holds; beyond it the API answers 429 `queue_full`. A quarter of it, in one API process, may be one tenant’s readers of jobs’ events.',
  },
  maxQueueWaitMs: {
    ...integer(1000, 86_400_000),
    env: 'MAX_QUEUE_WAIT_MS',
    default: 600_000,
    unit: 'ms',
    doc: 'Longest wait: a request that is predicted to wait longer is refused with 429 `queue_wait_too_long`, and a job without a deadline of its own ends this long after its acceptance.',
  },
  resultTtlS: {
    ...integer(10, 2_592_000),
    env: 'RESULT_TTL_S',
    default: 3600,
    unit: 's',
    doc: 'How long results and token logs are kept after the end of a request.',
  },
};
