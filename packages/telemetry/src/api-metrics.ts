import { type Counter, type Gauge, type Histogram, Registry } from 'prom-client';
import {
  collectProcessMetrics,
  counter,
  gauge,
  histogram,
  LATENCY_BUCKETS,
  type MetricTable,
  SIZE_BUCKETS,
} from './metric.ts';

/** What the API measures: requests as their callers see them. */
export interface ApiMeasurements {
  requests: Counter;
  requestsInFlight: Gauge;
  e2eRequestLatency: Histogram;
  timeToFirstToken: Histogram;
  promptTokens: Counter;
  generationTokens: Counter;
  batchSize: Histogram;
  batchDuration: Histogram;
  queueDepth: Gauge;
}

export interface ApiMetrics extends ApiMeasurements {
  readonly registry: Registry;
}

/**
 * The API's own figures carry `api` in their names: requests that other services put on the queue do not pass here, so
 * the workers' metrics are the whole truth of the fleet and must not be summed with these.
 */
export const apiMetricTable: MetricTable<ApiMeasurements> = {
  requests: {
    name: 'shoal_requests_total',
    help: 'Requests answered, by endpoint and outcome: completed, or the error code.',
    unit: 'requests',
    labels: ['model', 'endpoint', 'outcome'],
  },
  requestsInFlight: {
    name: 'shoal_requests_in_flight',
    help: 'Requests whose callers are connected and waiting.',
    unit: 'requests',
    labels: [],
  },
  e2eRequestLatency: {
    name: 'shoal_e2e_request_latency_seconds',
    help: 'From the acceptance of a request to its last token, at the API.',
    unit: 'seconds',
    labels: ['model'],
    buckets: LATENCY_BUCKETS,
  },
  timeToFirstToken: {
    name: 'shoal_api_time_to_first_token_seconds',
    help: 'From the acceptance of a request to the arrival of its first token at the API, queue included.',
    unit: 'seconds',
    labels: ['model'],
    buckets: LATENCY_BUCKETS,
  },
  promptTokens: {
    name: 'shoal_api_prompt_tokens_total',
    help: 'Prompt tokens of requests completed through this API.',
    unit: 'tokens',
    labels: ['model'],
  },
  generationTokens: {
    name: 'shoal_api_generation_tokens_total',
    help: 'Generated tokens of requests completed through this API.',
    unit: 'tokens',
    labels: ['model'],
  },
  batchSize: {
    name: 'shoal_api_batch_size',
    help: 'Size of the batch in which each request completed through this API was prefilled; one sample per request.',
    unit: 'sequences',
    labels: ['model'],
    buckets: SIZE_BUCKETS,
  },
  batchDuration: {
    name: 'shoal_api_batch_duration_seconds',
    help: 'From prefill to last token of each request completed through this API; one sample per request.',
    unit: 'seconds',
    labels: ['model'],
    buckets: LATENCY_BUCKETS,
  },
  queueDepth: {
    name: 'shoal_queue_depth',
    help: 'Jobs of the model’s queue: waiting (no worker has them) and running. The same on every API replica.',
    unit: 'jobs',
    labels: ['model', 'state'],
  },
};

export interface QueueDepthSample {
  readonly model: string;
  readonly waiting: number;
  readonly running: number;
}

/**
 * The API's metrics in a registry of their own, with Node's (event-loop delay, memory, CPU).
 * `queueDepths` is asked at each scrape; it must answer in bounded time, with nothing rather than an error.
 */
export function createApiMetrics(queueDepths: () => Promise<readonly QueueDepthSample[]>): ApiMetrics {
  const registry = new Registry();
  collectProcessMetrics(registry);
  const table = apiMetricTable;
  return {
    registry,
    requests: counter(table.requests, registry),
    requestsInFlight: gauge(table.requestsInFlight, registry),
    e2eRequestLatency: histogram(table.e2eRequestLatency, registry),
    timeToFirstToken: histogram(table.timeToFirstToken, registry),
    promptTokens: counter(table.promptTokens, registry),
    generationTokens: counter(table.generationTokens, registry),
    batchSize: histogram(table.batchSize, registry),
    batchDuration: histogram(table.batchDuration, registry),
    queueDepth: gauge(table.queueDepth, registry, async (depth) => {
      const samples = await queueDepths();
      depth.reset();
      for (const { model, waiting, running } of samples) {
        depth.set({ model, state: 'waiting' }, waiting);
        depth.set({ model, state: 'running' }, running);
      }
    }),
  };
}
