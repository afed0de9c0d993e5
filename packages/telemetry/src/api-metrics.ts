import type { WorkerReport } from '@shoal/protocol';
import type { QueueState } from '@shoal/queue';
import { type Counter, type Gauge, type Histogram, Registry } from 'prom-client';
import {
  instrumentsOf,
  LATENCY_BUCKETS,
  type MetricRow,
  type MetricTable,
  SIZE_BUCKETS,
  silentInstruments,
} from './metric.ts';
import { collectProcessMetrics } from './process-metrics.ts';

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
  cacheHits: Counter;
  queueDepth: Gauge;
  queueLoad: Gauge;
  queuePaused: Gauge;
  fleetWorkers: Gauge;
  fleetSlots: Gauge;
  fleetSequences: Gauge;
  fleetKvCacheUsage: Gauge;
  fleetTokensPerSecond: Gauge;
  fleetSettings: Gauge;
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
    help: 'Requests answered, by endpoint and outcome: completed, accepted (a submission to /v1/jobs, however many jobs; their ends are the workers’ to count), or the error code. `model` is empty for who was turned away before it was looked up (by a full or closing process, by a tenant’s limits), for unknown ones, and for jobs of several.',
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
  cacheHits: {
    name: 'shoal_cache_hits_total',
    help: 'Requests that needed no generation of their own: `shared` joined one that waited or ran, `cached` one that was finished.',
    unit: 'requests',
    labels: ['model', 'kind'],
  },
  queueDepth: {
    name: 'shoal_queue_depth',
    help: 'Jobs of the model’s queue by state: waiting (no worker has them; with their priority), suspect (waiting, their worker died of them perhaps), delayed, running. The same on every API replica.',
    unit: 'jobs',
    labels: ['model', 'state', 'priority'],
  },
  queueLoad: {
    name: 'shoal_queue_load',
    help: 'Jobs that want a worker: waiting and running; 0 while the queue is paused. What autoscaling follows. The same on every API replica.',
    unit: 'jobs',
    labels: ['model'],
  },
  queuePaused: {
    name: 'shoal_queue_paused',
    help: '1 while the model’s queue is paused: no worker claims.',
    unit: 'value',
    labels: ['model'],
  },
  fleetWorkers: {
    name: 'shoal_fleet_workers',
    help: 'Workers heard of in the last 15 seconds, by state: ready or draining. From their heartbeats, as everything under shoal_fleet; the same on every API replica.',
    unit: 'workers',
    labels: ['model', 'state'],
  },
  fleetSlots: {
    name: 'shoal_fleet_slots',
    help: 'Sequences that all workers together can run at once.',
    unit: 'sequences',
    labels: ['model'],
  },
  fleetSequences: {
    name: 'shoal_fleet_sequences',
    help: 'Sequences in the engines of all workers, by state: running (slots that are busy) or waiting.',
    unit: 'sequences',
    labels: ['model', 'state'],
  },
  fleetKvCacheUsage: {
    name: 'shoal_fleet_kv_cache_usage_ratio',
    help: 'Share of all workers’ KV budget that is held or promised, kept prefixes included.',
    unit: 'ratio',
    labels: ['model'],
  },
  fleetTokensPerSecond: {
    name: 'shoal_fleet_tokens_per_second',
    help: 'Tokens that all workers together generate per second.',
    unit: 'tokens',
    labels: ['model'],
  },
  fleetSettings: {
    name: 'shoal_fleet_setting',
    help: 'Workers on which a setting that can be changed at run time has this value.',
    unit: 'workers',
    labels: ['model', 'setting', 'value'],
  },
};

/** One model as its queue and its workers tell of it. */
export interface ModelSample {
  readonly model: string;
  readonly queue: QueueState;
  readonly workers: readonly WorkerReport[];
}

/**
 * The API's metrics in a registry of their own, with Node's (event-loop delay, memory, CPU).
 * `fleet` is asked once at each scrape; it must answer in bounded time, with nothing rather than an error.
 */
export function createApiMetrics(
  fleet: () => Promise<readonly ModelSample[]>,
  options: { enabled?: boolean } = {},
): ApiMetrics {
  const registry = new Registry();
  const { enabled = true } = options;
  if (enabled) collectProcessMetrics(registry);
  const { counter, gauge, histogram } = enabled ? instrumentsOf(registry) : silentInstruments();
  const sample = shared(fleet);
  /** A gauge over all models, forgotten with them. */
  const perModel = (row: MetricRow, read: (gauge: Gauge, model: ModelSample) => void): Gauge =>
    gauge(row, async (created) => {
      const models = await sample();
      created.reset();
      for (const model of models) read(created, model);
    });
  const table = apiMetricTable;
  return {
    registry,
    requests: counter(table.requests),
    requestsInFlight: gauge(table.requestsInFlight),
    e2eRequestLatency: histogram(table.e2eRequestLatency),
    timeToFirstToken: histogram(table.timeToFirstToken),
    promptTokens: counter(table.promptTokens),
    generationTokens: counter(table.generationTokens),
    batchSize: histogram(table.batchSize),
    batchDuration: histogram(table.batchDuration),
    cacheHits: counter(table.cacheHits),
    queueDepth: perModel(table.queueDepth, setQueueDepth),
    queueLoad: perModel(table.queueLoad, (load, { model, queue }) => load.set({ model }, loadOf(queue))),
    queuePaused: perModel(table.queuePaused, (paused, { model, queue }) => paused.set({ model }, queue.paused ? 1 : 0)),
    fleetWorkers: perModel(table.fleetWorkers, (workers, { model, workers: reports }) => {
      for (const state of ['ready', 'draining']) {
        workers.set({ model, state }, reports.filter((report) => report.state === state).length);
      }
    }),
    fleetSlots: perModel(table.fleetSlots, (slots, { model, workers }) =>
      slots.set(
        { model },
        total(workers, ({ slots }) => slots),
      ),
    ),
    fleetSequences: perModel(table.fleetSequences, (sequences, { model, workers }) => {
      sequences.set(
        { model, state: 'running' },
        total(workers, ({ running }) => running),
      );
      sequences.set(
        { model, state: 'waiting' },
        total(workers, ({ waiting }) => waiting),
      );
    }),
    fleetKvCacheUsage: perModel(table.fleetKvCacheUsage, (usage, { model, workers }) => {
      const budget = total(workers, ({ kvBudgetTokens }) => kvBudgetTokens);
      usage.set({ model }, budget === 0 ? 0 : total(workers, ({ kvUsedTokens }) => kvUsedTokens) / budget);
    }),
    fleetTokensPerSecond: perModel(table.fleetTokensPerSecond, (rate, { model, workers }) =>
      rate.set(
        { model },
        total(workers, ({ tokensPerSecond }) => tokensPerSecond),
      ),
    ),
    fleetSettings: perModel(table.fleetSettings, (settings, { model, workers }) => {
      for (const { settings: inForce } of workers) {
        for (const [setting, value] of Object.entries(inForce)) settings.inc({ model, setting, value });
      }
    }),
  };
}

function setQueueDepth(depth: Gauge, { model, queue }: ModelSample): void {
  for (const [priority, jobs] of queue.waiting.entries()) depth.set({ model, state: 'waiting', priority }, jobs);
  depth.set({ model, state: 'suspect', priority: '' }, queue.suspects);
  depth.set({ model, state: 'delayed', priority: '' }, queue.delayed);
  depth.set({ model, state: 'running', priority: '' }, queue.running);
}

/** What more workers could work on; a paused queue needs none. */
function loadOf({ paused, waiting, suspects, running }: QueueState): number {
  return paused ? 0 : waiting.reduce((sum, jobs) => sum + jobs, suspects + running);
}

function total(reports: readonly WorkerReport[], read: (report: WorkerReport) => number): number {
  return reports.reduce((sum, report) => sum + read(report), 0);
}

/** All gauges of one scrape ask at the same time: one answer serves them. */
function shared<T>(ask: () => Promise<T>): () => Promise<T> {
  let asking: Promise<T> | undefined;
  return () => {
    asking ??= ask().finally(() => {
      asking = undefined;
    });
    return asking;
  };
}
