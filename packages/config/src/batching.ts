import { choice, integer, optional } from './kinds.ts';
import type { SettingsTable } from './setting.ts';

export type Batching = 'continuous' | 'static';

/** How a worker forms batches. */
export interface BatchingConfig {
  batching: Batching;
  maxBatchSize: number;
  maxQueueDelayMs: number | undefined;
  maxBatchTokens: number;
  maxModelLen: number | undefined;
  kvCacheMb: number | undefined;
}

export const batchingSettings: SettingsTable<BatchingConfig> = {
  batching: {
    ...choice(['continuous', 'static']),
    env: 'BATCHING',
    default: 'continuous',
    doc: '`continuous` lets sequences join and leave at every step; `static` fills a batch and runs it to the end.',
  },
  maxBatchSize: {
    ...integer(1, 1024),
    env: 'MAX_BATCH_SIZE',
    default: 16,
    unit: 'requests',
    doc: 'Most sequences that run together. A worker may hold two requests more, or with static batching the next batch.',
  },
  maxQueueDelayMs: {
    ...optional(integer(0, 60_000)),
    env: 'MAX_QUEUE_DELAY_MS',
    default: undefined,
    defaultText: '0 with continuous batching, where latecomers join anyway; 10 with static',
    unit: 'ms',
    doc: 'How long the first request of an idle worker waits for company, counted from its arrival at the worker.',
  },
  maxBatchTokens: {
    ...integer(16, 10_000_000),
    env: 'MAX_BATCH_TOKENS',
    default: 8192,
    unit: 'tokens',
    doc: 'Most prompt tokens, padding included, computed in one prefill.',
  },
  maxModelLen: {
    ...optional(integer(16, 10_000_000)),
    env: 'MAX_MODEL_LEN',
    default: undefined,
    defaultText: "the model's own context length",
    unit: 'tokens',
    doc: 'Most tokens of prompt and answer together. On a device, and with static batching, every slot reserves this much; on the CPU it bounds one sequence.',
  },
  kvCacheMb: {
    ...optional(integer(1, 10_000_000)),
    env: 'KV_CACHE_MB',
    default: undefined,
    defaultText:
      'a quarter of the available memory, or twice what `MAX_BATCH_SIZE` × `MAX_MODEL_LEN` needs if that is less',
    unit: 'MiB',
    doc: 'Memory for keys and values, running sequences and reusable prefixes together. When it is used up, the youngest sequence waits and continues later; the worker refuses to start when not even one sequence of full length fits.',
  },
};
