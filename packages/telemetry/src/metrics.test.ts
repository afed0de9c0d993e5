import type { EngineFact } from '@shoal/engine';
import type { WorkerReport } from '@shoal/protocol';
import type { ConsumerFact } from '@shoal/queue';
import { expect, test } from 'vitest';
import { apiMetricTable, createApiMetrics, type ModelSample } from './api-metrics.ts';
import type { MetricRow } from './metric.ts';
import { observeConsumer } from './observe-consumer.ts';
import { observeEngine } from './observe-engine.ts';
import { renderMetricsDocs } from './render-docs.ts';
import { createWorkerMetrics, workerMetricTable } from './worker-metrics.ts';

const rows: MetricRow[] = [...Object.values<MetricRow>(apiMetricTable), ...Object.values<MetricRow>(workerMetricTable)];

function source<Fact>(): { observe(listener: (fact: Fact) => void): () => void; tell(fact: Fact): void } {
  const listeners = new Set<(fact: Fact) => void>();
  return {
    observe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    tell(fact) {
      for (const listener of listeners) listener(fact);
    },
  };
}

test('the engine’s facts become samples', async () => {
  let now = { waiting: 3, running: 2, slots: 16, steps: 9, kvUsedTokens: 32, kvBudgetTokens: 128 };
  const metrics = createWorkerMetrics({ model: 'minnow', stats: () => now });
  const facts = source<EngineFact>();
  const stop = observeEngine({ ...facts, stats: () => now }, metrics);

  facts.tell({ type: 'step', phase: 'decode', batchSize: 2, tokens: 2, paddingTokens: 5, durationMs: 4 });
  const batch = {
    id: 1,
    requestIds: ['a', 'b'],
    trigger: 'delay',
    waitedMs: 50,
    startedAt: 0,
    durationMs: 250,
  } as const;
  facts.tell({
    type: 'batch',
    batch: { ...batch, requestIds: ['a', 'b'], steps: 9, promptTokens: 7, generatedTokens: 18 },
  });
  facts.tell({ type: 'sample', tokens: 2, wholeRows: 1, durationMs: 2 });
  facts.tell({ type: 'run-failed', phase: 'decode', batchSize: 2, message: 'out of memory' });
  facts.tell({ type: 'prefix-hit', requestId: 'a', tokens: 12 });
  facts.tell({ type: 'preempted', requestId: 'b', tokens: 30 });
  facts.tell({ type: 'started', requestId: 'a', waitedMs: 40 });
  facts.tell({ type: 'first-token', requestId: 'a', afterMs: 60 });
  facts.tell({ type: 'sequence-finished', requestId: 'a', outcome: 'stop', promptTokens: 7, generatedTokens: 9 });
  stop();
  facts.tell({ type: 'sequence-finished', requestId: 'b', outcome: 'stop', promptTokens: 7, generatedTokens: 9 });

  const text = await metrics.registry.metrics();
  expect(text).toContain('shoal_step_duration_seconds_bucket{le="0.005",model="minnow",phase="decode"} 1\n');
  expect(text).toContain('shoal_step_batch_size_sum{model="minnow",phase="decode"} 2\n');
  expect(text).toContain('shoal_padding_tokens_total{phase="decode",model="minnow"} 5\n');
  expect(text).toContain('shoal_batch_size_bucket{le="2",model="minnow",trigger="delay"} 1\n');
  expect(text).toContain('shoal_batch_duration_seconds_sum{model="minnow"} 0.25\n');
  expect(text).toContain('shoal_time_to_first_token_seconds_sum{model="minnow"} 0.06\n');
  expect(text).toContain('shoal_sample_duration_seconds_sum{model="minnow"} 0.002\n');
  expect(text).toContain('shoal_sampled_whole_rows_total{model="minnow"} 1\n');
  expect(text).toContain('shoal_failed_runs_total{phase="decode",model="minnow"} 1\n');
  expect(text).toContain('shoal_prefix_hit_tokens_total{model="minnow"} 12\n');
  expect(text).toContain('shoal_preemptions_total{model="minnow"} 1\n');
  expect(text).toContain('shoal_engine_wait_seconds_sum{model="minnow"} 0.04\n');
  expect(text).toContain('shoal_sequences_total{outcome="stop",model="minnow"} 1\n');
  expect(text).toContain('shoal_generation_tokens_total{model="minnow"} 9\n');
  expect(text).toContain('shoal_sequences{state="waiting",model="minnow"} 3\n');
  expect(text).toContain('shoal_step_fill_ratio_sum{model="minnow",phase="decode"} 0.125\n');
  expect(text).toContain('shoal_inter_token_latency_seconds_sum{model="minnow"} 0.006\n');
  expect(text).toContain('shoal_prefix_hits_total{model="minnow"} 1\n');
  expect(text).toContain('shoal_kv_cache_usage_ratio{model="minnow"} 0.25\n');
  now = { ...now, waiting: 0, kvUsedTokens: 0 };
  const later = await metrics.registry.metrics();
  expect(later).toContain('shoal_sequences{state="waiting",model="minnow"} 0\n');
  expect(later).toContain('shoal_kv_cache_usage_ratio{model="minnow"} 0\n');
});

test('the consumer’s facts become samples, its errors also log lines', async () => {
  const metrics = createWorkerMetrics({ model: 'minnow' });
  const facts = source<ConsumerFact>();
  const warnings: unknown[] = [];
  observeConsumer(facts, metrics, { warn: (message: unknown) => warnings.push(message) });

  facts.tell({ type: 'claimed', jobId: 'a', queueMs: 2, redelivered: true, resumedTokens: 4 });
  facts.tell({ type: 'claimed', jobId: 'b', queueMs: -3, redelivered: false, resumedTokens: 0 });
  facts.tell({ type: 'claimed', jobId: 'c', queueMs: 200, redelivered: false, resumedTokens: 0, predictedMs: 150 });
  // Whoever finds nobody ahead: no wait was predicted.
  facts.tell({ type: 'claimed', jobId: 'd', queueMs: 0, redelivered: false, resumedTokens: 0, predictedMs: 0 });
  facts.tell({ type: 'finished', jobId: 'a', outcome: 'completed' });
  facts.tell({ type: 'finished', jobId: 'b', outcome: 'failed', code: 'inference_error' });
  facts.tell({ type: 'finished', jobId: 'c', outcome: 'failed', code: 'cancelled', totalMs: 500 });
  facts.tell({ type: 'emit', jobs: 2, tokens: 2, durationMs: 1 });
  facts.tell({ type: 'error', message: 'connection lost' });

  const text = await metrics.registry.metrics();
  expect(text).toContain('shoal_request_queue_time_seconds_bucket{le="0.001",model="minnow"} 2\n');
  expect(text).toContain('shoal_request_queue_time_seconds_sum{model="minnow"} 0.202\n');
  expect(text).toContain('shoal_predicted_wait_ratio_sum{model="minnow"} 0.75\n');
  expect(text).toContain('shoal_predicted_wait_ratio_count{model="minnow"} 1\n');
  expect(text).toContain('shoal_redeliveries_total{model="minnow"} 1\n');
  expect(text).toContain('shoal_resumed_tokens_total{model="minnow"} 4\n');
  expect(text).toContain('shoal_jobs_total{outcome="completed",model="minnow"} 1\n');
  expect(text).toContain('shoal_jobs_total{outcome="failed",code="inference_error",model="minnow"} 1\n');
  expect(text).toContain('shoal_jobs_total{outcome="failed",code="cancelled",model="minnow"} 1\n');
  // There before the first one, so that its rate has something to rise from.
  expect(text).toContain('shoal_jobs_total{outcome="failed",code="worker_lost",model="minnow"} 0\n');
  expect(text).toContain('shoal_job_latency_seconds_count{model="minnow",outcome="failed"} 1\n');
  expect(text).toContain('shoal_emit_duration_seconds_count{model="minnow"} 1\n');
  expect(text).toContain('shoal_consumer_errors_total{model="minnow"} 1\n');
  expect(warnings).toEqual(['connection lost']);
});

const queue = { paused: false, waiting: [0, 0, 0, 0, 0, 4, 1, 0, 0, 0], suspects: 1, delayed: 3, running: 2 };
const report: WorkerReport = {
  ...{ worker: 'w1', state: 'ready', slots: 16, running: 2, waiting: 1, startedAt: 0 },
  ...{ kvUsedTokens: 30, kvBudgetTokens: 100, tokensPerSecond: 7, settings: { MAX_BATCH_SIZE: '16' } },
};

test('queues and fleet are read at each scrape, once, and forgotten with their model', async () => {
  let models: ModelSample[] = [
    { model: 'minnow', queue, workers: [report, { ...report, worker: 'w2', state: 'draining', kvUsedTokens: 10 }] },
  ];
  let asked = 0;
  const { registry } = createApiMetrics(async () => {
    asked += 1;
    return models;
  });
  const text = await registry.metrics();
  expect(asked).toBe(1);
  for (const line of [
    'shoal_queue_depth{model="minnow",state="waiting",priority="5"} 4',
    'shoal_queue_depth{model="minnow",state="waiting",priority="6"} 1',
    'shoal_queue_depth{model="minnow",state="delayed",priority=""} 3',
    'shoal_queue_depth{model="minnow",state="running",priority=""} 2',
    'shoal_queue_load{model="minnow"} 8',
    'shoal_queue_paused{model="minnow"} 0',
    'shoal_fleet_workers{model="minnow",state="ready"} 1',
    'shoal_fleet_workers{model="minnow",state="draining"} 1',
    'shoal_fleet_slots{model="minnow"} 32',
    'shoal_fleet_sequences{model="minnow",state="running"} 4',
    'shoal_fleet_kv_cache_usage_ratio{model="minnow"} 0.2',
    'shoal_fleet_tokens_per_second{model="minnow"} 14',
    'shoal_fleet_setting{model="minnow",setting="MAX_BATCH_SIZE",value="16"} 2',
  ]) {
    expect(text).toContain(`${line}\n`);
  }
  models = [{ model: 'minnow', queue: { ...queue, paused: true }, workers: [] }];
  const paused = await registry.metrics();
  expect(paused).toContain('shoal_queue_load{model="minnow"} 0\n');
  expect(paused).toContain('shoal_fleet_workers{model="minnow",state="ready"} 0\n');
  models = [];
  expect(await registry.metrics()).not.toContain('shoal_queue_depth{');
});

test('switched off, nothing is measured', async () => {
  const worker = createWorkerMetrics({ model: 'minnow', enabled: false });
  worker.generationTokens.inc(5);
  worker.requestQueueTime.observe(1);
  const api = createApiMetrics(async () => [{ model: 'minnow', queue, workers: [report] }], { enabled: false });
  api.requests.inc({ model: 'minnow', endpoint: '/', outcome: 'completed' });
  expect([await worker.registry.metrics(), await api.registry.metrics()]).toEqual(['\n', '\n']);
  expect(await worker.generationTokens.get()).toMatchObject({ values: [{ value: 0 }] });
  expect((await worker.requestQueueTime.get()).values.every(({ value }) => value === 0)).toBe(true);
});

test('names are distinct and follow Prometheus’ conventions', () => {
  expect(new Set(rows.map(({ name }) => name)).size).toBe(rows.length);
  for (const { name, unit } of rows) {
    expect(name).toMatch(/^shoal_[a-z0-9_]+$/);
    expect(name.endsWith('_seconds'), name).toBe(unit === 'seconds');
  }
});

test('every metric has a row in the documentation', () => {
  const docs = renderMetricsDocs();
  for (const { name } of rows) expect(docs.split(`\n| \`${name}\` |`), name).toHaveLength(2);
});
