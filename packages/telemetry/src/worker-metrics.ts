import type { EngineStats } from '@shoal/engine';
import { type Counter, type Gauge, type Histogram, Registry } from 'prom-client';
import {
  collectProcessMetrics,
  FILL_BUCKETS,
  instrumentsOf,
  LATENCY_BUCKETS,
  type MetricTable,
  RATIO_BUCKETS,
  SIZE_BUCKETS,
  STEP_BUCKETS,
  silentInstruments,
} from './metric.ts';

/** What a worker measures: the engine's and the queue's side of every request, whoever sent it. */
export interface WorkerMeasurements {
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
  settings: Gauge;
  jobs: Counter;
  claims: Counter;
  jobLatency: Histogram;
  requestQueueTime: Histogram;
  predictedWaitRatio: Histogram;
  redeliveries: Counter;
  resumes: Counter;
  resumedTokens: Counter;
  stalledJobs: Counter;
  emitDuration: Histogram;
  consumerErrors: Counter;
}

export interface WorkerMetrics extends WorkerMeasurements {
  readonly registry: Registry;
}

/** Every sample also carries the label `model`. */
export const workerMetricTable: MetricTable<WorkerMeasurements> = {
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
  settings: {
    name: 'shoal_worker_setting',
    help: 'Settings that can be changed at run time, as they are in force; a log level as pino numbers it.',
    unit: 'value',
    labels: ['setting'],
  },
  jobs: {
    name: 'shoal_jobs_total',
    help: 'Jobs that this worker let go, by outcome: completed, failed, handed-back, lost (its lock lapsed).',
    unit: 'jobs',
    labels: ['outcome'],
  },
  claims: {
    name: 'shoal_claimed_jobs_total',
    help: 'Jobs that this worker took from the queue.',
    unit: 'jobs',
    labels: [],
  },
  jobLatency: {
    name: 'shoal_job_latency_seconds',
    help: 'From a job’s addition to the queue to its end at this worker, by outcome as in shoal_jobs_total.',
    unit: 'seconds',
    labels: ['outcome'],
    buckets: LATENCY_BUCKETS,
  },
  requestQueueTime: {
    name: 'shoal_request_queue_time_seconds',
    help: 'From a job’s addition to the queue to its claim by this worker.',
    unit: 'seconds',
    labels: [],
    buckets: LATENCY_BUCKETS,
  },
  predictedWaitRatio: {
    name: 'shoal_predicted_wait_ratio',
    help: 'The wait in the queue that was predicted when a job was submitted, divided by the wait that came.',
    unit: 'ratio',
    labels: [],
    buckets: RATIO_BUCKETS,
  },
  redeliveries: {
    name: 'shoal_redeliveries_total',
    help: 'Jobs claimed that another worker had held before.',
    unit: 'jobs',
    labels: [],
  },
  resumes: {
    name: 'shoal_resumes_total',
    help: 'Jobs that went on here from what another claim had written, by what that means for the answer: identical or continued.',
    unit: 'jobs',
    labels: ['label'],
  },
  resumedTokens: {
    name: 'shoal_resumed_tokens_total',
    help: 'Tokens that jobs had when this worker claimed them, and that were not generated again.',
    unit: 'tokens',
    labels: [],
  },
  stalledJobs: {
    name: 'shoal_stalled_jobs_total',
    help: 'Jobs that this worker found without a living one, and put back.',
    unit: 'jobs',
    labels: [],
  },
  emitDuration: {
    name: 'shoal_emit_duration_seconds',
    help: 'One round trip that writes tokens and results to Redis.',
    unit: 'seconds',
    labels: [],
    buckets: STEP_BUCKETS,
  },
  consumerErrors: {
    name: 'shoal_consumer_errors_total',
    help: 'Failures of the queue connection and of queue scripts, each also logged.',
    unit: 'errors',
    labels: [],
  },
};

/**
 * The worker's metrics in a registry of their own, with Node's (event-loop delay, memory, CPU).
 * `stats` is read at each scrape, so that gauges tell of now and not of the last step.
 */
export function createWorkerMetrics(options: {
  model: string;
  stats?: () => EngineStats;
  enabled?: boolean;
}): WorkerMetrics {
  const registry = new Registry();
  const { model, stats = () => NO_STATS, enabled = true } = options;
  registry.setDefaultLabels({ model });
  if (enabled) collectProcessMetrics(registry);
  const { counter, gauge, histogram } = enabled ? instrumentsOf(registry) : silentInstruments();
  const table = workerMetricTable;
  const metrics: WorkerMetrics = {
    registry,
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
    settings: gauge(table.settings),
    jobs: counter(table.jobs),
    claims: counter(table.claims),
    jobLatency: histogram(table.jobLatency),
    requestQueueTime: histogram(table.requestQueueTime),
    predictedWaitRatio: histogram(table.predictedWaitRatio),
    redeliveries: counter(table.redeliveries),
    resumes: counter(table.resumes),
    resumedTokens: counter(table.resumedTokens),
    stalledJobs: counter(table.stalledJobs),
    emitDuration: histogram(table.emitDuration),
    consumerErrors: counter(table.consumerErrors),
  };
  // A rate needs a zero to rise from: what is rare is there from the start.
  for (const phase of ['prefill', 'decode']) metrics.failedRuns.inc({ phase }, 0);
  for (const label of ['identical', 'continued']) metrics.resumes.inc({ label }, 0);
  return metrics;
}

const NO_STATS: EngineStats = { waiting: 0, running: 0, slots: 0, steps: 0, kvUsedTokens: 0, kvBudgetTokens: 0 };
