import { choice, integer, optional } from './kinds.ts';
import type { SettingsTable } from './setting.ts';

export type Batching = 'static';

/** How a worker forms batches. */
export interface BatchingConfig {
  batching: Batching;
  maxBatchSize: number;
  maxQueueDelayMs: number;
  maxBatchTokens: number;
  maxModelLen: number | undefined;
  kvCacheMb: number | undefined;
}

const DEFAULT_BATCHING: Batching = 'static';

export const batchingSettings: SettingsTable<BatchingConfig> = {
  batching: {
    ...choice(['static']),
    env: 'BATCHING',
    default: DEFAULT_BATCHING,
    doc: '`static` fills a batch, runs it to the end and answers each as it finishes.',
  },
  maxBatchSize: {
    ...integer(1, 1024),
    env: 'MAX_BATCH_SIZE',
    default: 16,
    unit: 'requests',
    doc: 'Most sequences that run together; the worker never holds more requests than it can run.',
  },
  maxQueueDelayMs: {
    ...integer(0, 60_000),
    env: 'MAX_QUEUE_DELAY_MS',
    default: 50,
    unit: 'ms',
    doc: 'How long a batch that is not full waits for company, counted from the arrival of its oldest request at the worker.',
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
    doc: 'Most tokens of prompt and answer together. Smaller saves memory: every slot reserves this much.',
  },
  kvCacheMb: {
    ...optional(integer(1, 10_000_000)),
    env: 'KV_CACHE_MB',
    default: undefined,
    defaultText: 'what `MAX_BATCH_SIZE` × `MAX_MODEL_LEN` needs',
    unit: 'MiB',
    doc: 'Memory for the KV cache; the worker refuses to start when `MAX_BATCH_SIZE` × `MAX_MODEL_LEN` does not fit.',
  },
};
