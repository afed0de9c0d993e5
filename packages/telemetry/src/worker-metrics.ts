import { type Counter, type Gauge, type Histogram, Registry } from 'prom-client';
import {
  collectProcessMetrics,
  counter,
  gauge,
  histogram,
  LATENCY_BUCKETS,
  type MetricTable,
  RATIO_BUCKETS,
  SIZE_BUCKETS,
  STEP_BUCKETS,
} from './metric.ts';

/** What a worker measures: the engine's and the queue's side of every request, whoever sent it. */
export interface WorkerMeasurements {
  sequences: Counter;
  promptTokens: Counter;
  generationTokens: Counter;
  timeToFirstToken: Histogram;
  batchSize: Histogram;
  batchDuration: Histogram;
  stepDuration: Histogram;
  stepBatchSize: Histogram;
  stepTokens: Counter;
  paddingTokens: Counter;
  failedRuns: Counter;
  sampleDuration: Histogram;
  sampledWholeRows: Counter;
  prefixHitTokens: Counter;
  preemptions: Counter;
  engineWait: Histogram;
  sequencesNow: Gauge;
  slots: Gauge;
  jobs: Counter;
  requestQueueTime: Histogram;
  predictedWaitRatio: Histogram;
  redeliveries: Counter;
  resumedTokens: Counter;
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
  jobs: {
    name: 'shoal_jobs_total',
    help: 'Jobs that this worker let go, by outcome: completed, failed, handed-back, lost (its lock lapsed).',
    unit: 'jobs',
    labels: ['outcome'],
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
  resumedTokens: {
    name: 'shoal_resumed_tokens_total',
    help: 'Tokens that jobs had when this worker claimed them, and that were not generated again.',
    unit: 'tokens',
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

/** The worker's metrics in a registry of their own, with Node's (event-loop delay, memory, CPU). */
export function createWorkerMetrics(options: { model: string }): WorkerMetrics {
  const registry = new Registry();
  registry.setDefaultLabels({ model: options.model });
  collectProcessMetrics(registry);
  const table = workerMetricTable;
  const metrics: WorkerMetrics = {
    registry,
    sequences: counter(table.sequences, registry),
    promptTokens: counter(table.promptTokens, registry),
    generationTokens: counter(table.generationTokens, registry),
    timeToFirstToken: histogram(table.timeToFirstToken, registry),
    batchSize: histogram(table.batchSize, registry),
    batchDuration: histogram(table.batchDuration, registry),
    stepDuration: histogram(table.stepDuration, registry),
    stepBatchSize: histogram(table.stepBatchSize, registry),
    stepTokens: counter(table.stepTokens, registry),
    paddingTokens: counter(table.paddingTokens, registry),
    failedRuns: counter(table.failedRuns, registry),
    sampleDuration: histogram(table.sampleDuration, registry),
    sampledWholeRows: counter(table.sampledWholeRows, registry),
    prefixHitTokens: counter(table.prefixHitTokens, registry),
    preemptions: counter(table.preemptions, registry),
    engineWait: histogram(table.engineWait, registry),
    sequencesNow: gauge(table.sequencesNow, registry),
    slots: gauge(table.slots, registry),
    jobs: counter(table.jobs, registry),
    requestQueueTime: histogram(table.requestQueueTime, registry),
    predictedWaitRatio: histogram(table.predictedWaitRatio, registry),
    redeliveries: counter(table.redeliveries, registry),
    resumedTokens: counter(table.resumedTokens, registry),
    emitDuration: histogram(table.emitDuration, registry),
    consumerErrors: counter(table.consumerErrors, registry),
  };
  // A rate needs a zero to rise from: what is rare is there from the start.
  for (const phase of ['prefill', 'decode']) metrics.failedRuns.inc({ phase }, 0);
  return metrics;
}
