import type { EngineFact } from '@shoal/engine';
import type { ConsumerFact } from '@shoal/queue';
import { expect, test } from 'vitest';
import { apiMetricTable, createApiMetrics } from './api-metrics.ts';
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
  const metrics = createWorkerMetrics({ model: 'minnow' });
  const facts = source<EngineFact>();
  const stop = observeEngine({ ...facts, stats: () => ({ waiting: 3, running: 2, slots: 16, steps: 9 }) }, metrics);

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
});

test('the consumer’s facts become samples, its errors also log lines', async () => {
  const metrics = createWorkerMetrics({ model: 'minnow' });
  const facts = source<ConsumerFact>();
  const warnings: unknown[] = [];
  observeConsumer(facts, metrics, { warn: (message: unknown) => warnings.push(message) });

  facts.tell({ type: 'claimed', jobId: 'a', queueMs: 2, redelivered: true, resumedTokens: 4 });
  facts.tell({ type: 'claimed', jobId: 'b', queueMs: -3, redelivered: false, resumedTokens: 0 });
  facts.tell({ type: 'claimed', jobId: 'c', queueMs: 200, redelivered: false, resumedTokens: 0, predictedMs: 150 });
  facts.tell({ type: 'finished', jobId: 'a', outcome: 'completed' });
  facts.tell({ type: 'emit', jobs: 2, tokens: 2, durationMs: 1 });
  facts.tell({ type: 'error', message: 'connection lost' });

  const text = await metrics.registry.metrics();
  expect(text).toContain('shoal_request_queue_time_seconds_bucket{le="0.001",model="minnow"} 1\n');
  expect(text).toContain('shoal_request_queue_time_seconds_sum{model="minnow"} 0.202\n');
  expect(text).toContain('shoal_predicted_wait_ratio_sum{model="minnow"} 0.75\n');
  expect(text).toContain('shoal_predicted_wait_ratio_count{model="minnow"} 1\n');
  expect(text).toContain('shoal_redeliveries_total{model="minnow"} 1\n');
  expect(text).toContain('shoal_resumed_tokens_total{model="minnow"} 4\n');
  expect(text).toContain('shoal_jobs_total{outcome="completed",model="minnow"} 1\n');
  expect(text).toContain('shoal_emit_duration_seconds_count{model="minnow"} 1\n');
  expect(text).toContain('shoal_consumer_errors_total{model="minnow"} 1\n');
  expect(warnings).toEqual(['connection lost']);
});

test('queue depth is read at each scrape, and forgotten with its model', async () => {
  let depths = [{ model: 'minnow', waiting: 4, running: 2 }];
  const { registry } = createApiMetrics(() => Promise.resolve(depths));
  expect(await registry.metrics()).toContain('shoal_queue_depth{model="minnow",state="waiting"} 4\n');
  depths = [];
  expect(await registry.metrics()).not.toContain('shoal_queue_depth{');
});

test('both registries tell of the event loop', async () => {
  for (const { registry } of [createApiMetrics(() => Promise.resolve([])), createWorkerMetrics({ model: 'm' })]) {
    expect(await registry.metrics()).toContain('nodejs_eventloop_lag_p99_seconds');
  }
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
