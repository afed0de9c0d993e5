import type { ErrorCode } from '@shoal/protocol';
import type { Counter, Histogram } from 'prom-client';
import { type Instruments, LATENCY_BUCKETS, type MetricTable, RATIO_BUCKETS, STEP_BUCKETS } from './metric.ts';

/** The queue’s side of a worker: jobs, how long they waited, what became of them. */
export interface ConsumerMeasurements {
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

/** How a job fails without its caller's doing; alerts follow these. */
const OUR_FAULTS: readonly ErrorCode[] = ['inference_error', 'worker_lost', 'unavailable'];

export const consumerMetricTable: MetricTable<ConsumerMeasurements> = {
  jobs: {
    name: 'shoal_jobs_total',
    help: 'Jobs that this worker let go, by outcome: completed, failed, handed-back, lost (its lock lapsed). Failed ones also by error code; faults of ours are inference_error, worker_lost and unavailable.',
    unit: 'jobs',
    labels: ['outcome', 'code'],
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
    help: 'The wait in the queue that was predicted when a job was submitted, divided by the wait that came; without jobs for which none was predicted.',
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

export function consumerMeasurements({ counter, histogram }: Instruments): ConsumerMeasurements {
  const table = consumerMetricTable;
  const measurements: ConsumerMeasurements = {
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
  for (const label of ['identical', 'continued']) measurements.resumes.inc({ label }, 0);
  for (const outcome of ['completed', 'handed-back', 'lost']) measurements.jobs.inc({ outcome }, 0);
  for (const code of OUR_FAULTS) measurements.jobs.inc({ outcome: 'failed', code }, 0);
  return measurements;
}
