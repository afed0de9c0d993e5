import type { EngineStats } from '@shoal/engine';
import type { Counter, Gauge, Histogram } from 'prom-client';
import {
  FILL_BUCKETS,
  type Instruments,
  LATENCY_BUCKETS,
  type MetricTable,
  SIZE_BUCKETS,
  STEP_BUCKETS,
} from './metric.ts';

/** The engine’s side of a worker: steps, sequences, tokens, memory. */
export interface EngineMeasurements {
  sequences: Counter;
  promptTokens: Counter;
  generationTokens: Counter;
  timeToFirstToken: Histogram;
  interTokenLatency: Histogram;
  batchSize: Histogram;
  batchDuration: Histogram;
  stepDuration: Histogram;
  stepBatchSize: Histogram;
  stepFillRatio: Histogram;
  stepTokens: Counter;
  paddingTokens: Counter;
  failedRuns: Counter;
  sampleDuration: Histogram;
  sampledWholeRows: Counter;
  prefixHits: Counter;
  prefixHitTokens: Counter;
  preemptions: Counter;
  engineWait: Histogram;
  sequencesNow: Gauge;
  slots: Gauge;
  kvCacheUsage: Gauge;
  kvCacheTokens: Gauge;
}

export const engineMetricTable: MetricTable<EngineMeasurements> = {
  sequences: {
    name: 'shoal_sequences_total',
    help: 'Sequences that left the engine, by outcome: stop, length, abort, error.',
    unit: 'sequences',
    labels: ['outcome'],
  },
  promptTokens: {
    name: 'shoal_prompt_tokens_total',
    help: 'Prompt tokens of sequences that left the engine.',
    unit: 'tokens',
    labels: [],
  },
  generationTokens: {
    name: 'shoal_generation_tokens_total',
    help: 'Tokens generated.',
    unit: 'tokens',
    labels: [],
  },
  timeToFirstToken: {
    name: 'shoal_time_to_first_token_seconds',
    help: 'From the engine’s acceptance of a request to its first token; the time in the queue is counted apart.',
    unit: 'seconds',
    labels: [],
    buckets: LATENCY_BUCKETS,
  },
  interTokenLatency: {
    name: 'shoal_inter_token_latency_seconds',
    help: 'Between two tokens of a running sequence: one sample per decode step, which all its sequences share; passes over others’ prompts in between are included.',
    unit: 'seconds',
    labels: [],
    buckets: STEP_BUCKETS,
  },
  batchSize: {
    name: 'shoal_batch_size',
    help: 'Sequences of each batch (static batching).',
    unit: 'sequences',
    labels: ['trigger'],
    buckets: SIZE_BUCKETS,
  },
  batchDuration: {
    name: 'shoal_batch_duration_seconds',
    help: 'From a batch’s prefill to its last token (static batching).',
    unit: 'seconds',
    labels: [],
    buckets: LATENCY_BUCKETS,
  },
  stepDuration: {
    name: 'shoal_step_duration_seconds',
    help: 'One run of the model, by phase: prefill or decode.',
    unit: 'seconds',
    labels: ['phase'],
    buckets: STEP_BUCKETS,
  },
  stepBatchSize: {
    name: 'shoal_step_batch_size',
    help: 'Sequences in one run of the model, by phase: how full the device is, whichever the batching.',
    unit: 'sequences',
    labels: ['phase'],
    buckets: SIZE_BUCKETS,
  },
  stepFillRatio: {
    name: 'shoal_step_fill_ratio',
    help: 'Sequences in one run of the model, divided by the slots there are, by phase.',
    unit: 'ratio',
    labels: ['phase'],
    buckets: FILL_BUCKETS,
  },
  stepTokens: {
    name: 'shoal_step_tokens_total',
    help: 'Tokens computed in runs of the model, padding not included, by phase.',
    unit: 'tokens',
    labels: ['phase'],
  },
  paddingTokens: {
    name: 'shoal_padding_tokens_total',
    help: 'Tokens computed as padding and thrown away, by phase.',
    unit: 'tokens',
    labels: ['phase'],
  },
  failedRuns: {
    name: 'shoal_failed_runs_total',
    help: 'Runs of the model that failed, by phase; their sequences were tried again in smaller company.',
    unit: 'errors',
    labels: ['phase'],
  },
  sampleDuration: {
    name: 'shoal_sample_duration_seconds',
    help: 'Choosing the tokens of one step.',
    unit: 'seconds',
    labels: [],
    buckets: STEP_BUCKETS,
  },
  sampledWholeRows: {
    name: 'shoal_sampled_whole_rows_total',
    help: 'Rows whose logits were read in full, because their likeliest tokens did not decide the draw.',
    unit: 'tokens',
    labels: [],
  },
  prefixHits: {
    name: 'shoal_prefix_hits_total',
    help: 'Prompts whose beginning was copied from another sequence instead of computed.',
    unit: 'sequences',
    labels: [],
  },
  prefixHitTokens: {
    name: 'shoal_prefix_hit_tokens_total',
    help: 'Prompt tokens whose keys and values were copied from another sequence instead of computed.',
    unit: 'tokens',
    labels: [],
  },
  preemptions: {
    name: 'shoal_preemptions_total',
    help: 'Sequences that lost their place to make room in the KV cache, and replay their tokens later.',
    unit: 'sequences',
    labels: [],
  },
  engineWait: {
    name: 'shoal_engine_wait_seconds',
    help: 'From the engine’s acceptance of a request to its start; the time in the queue is counted apart.',
    unit: 'seconds',
    labels: [],
    buckets: LATENCY_BUCKETS,
  },
  sequencesNow: {
    name: 'shoal_sequences',
    help: 'Sequences in the engine now, by state: waiting or running.',
    unit: 'sequences',
    labels: ['state'],
  },
  slots: {
    name: 'shoal_slots',
    help: 'Sequences that can run at once.',
    unit: 'sequences',
    labels: [],
  },
  kvCacheUsage: {
    name: 'shoal_kv_cache_usage_ratio',
    help: 'Share of the KV budget that is held or promised, kept prefixes included.',
    unit: 'ratio',
    labels: [],
  },
  kvCacheTokens: {
    name: 'shoal_kv_cache_tokens',
    help: 'Tokens whose keys and values the budget holds.',
    unit: 'tokens',
    labels: [],
  },
};

/** `stats` is read at each scrape, so that gauges tell of now and not of the last step. */
export function engineMeasurements(
  { counter, gauge, histogram }: Instruments,
  stats: () => EngineStats,
): EngineMeasurements {
  const table = engineMetricTable;
  const measurements: EngineMeasurements = {
    sequences: counter(table.sequences),
    promptTokens: counter(table.promptTokens),
    generationTokens: counter(table.generationTokens),
    timeToFirstToken: histogram(table.timeToFirstToken),
    interTokenLatency: histogram(table.interTokenLatency),
    batchSize: histogram(table.batchSize),
    batchDuration: histogram(table.batchDuration),
    stepDuration: histogram(table.stepDuration),
    stepBatchSize: histogram(table.stepBatchSize),
    stepFillRatio: histogram(table.stepFillRatio),
    stepTokens: counter(table.stepTokens),
    paddingTokens: counter(table.paddingTokens),
    failedRuns: counter(table.failedRuns),
    sampleDuration: histogram(table.sampleDuration),
    sampledWholeRows: counter(table.sampledWholeRows),
    prefixHits: counter(table.prefixHits),
    prefixHitTokens: counter(table.prefixHitTokens),
    preemptions: counter(table.preemptions),
    engineWait: histogram(table.engineWait),
    sequencesNow: gauge(table.sequencesNow, (sequences) => {
      const { waiting, running } = stats();
      sequences.set({ state: 'waiting' }, waiting);
      sequences.set({ state: 'running' }, running);
    }),
    slots: gauge(table.slots, (slots) => slots.set(stats().slots)),
    kvCacheUsage: gauge(table.kvCacheUsage, (usage) => {
      const { kvUsedTokens, kvBudgetTokens } = stats();
      usage.set(kvBudgetTokens === 0 ? 0 : kvUsedTokens / kvBudgetTokens);
    }),
    kvCacheTokens: gauge(table.kvCacheTokens, (tokens) => tokens.set(stats().kvBudgetTokens)),
  };
  // A rate needs a zero to rise from: what is rare is there from the start.
  for (const phase of ['prefill', 'decode']) measurements.failedRuns.inc({ phase }, 0);
  return measurements;
}
