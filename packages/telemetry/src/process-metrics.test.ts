import perfHooks from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Registry } from 'prom-client';
import { afterEach, expect, test, vi } from 'vitest';
import { createApiMetrics } from './api-metrics.ts';
import { collectProcessMetrics } from './process-metrics.ts';
import { createWorkerMetrics } from './worker-metrics.ts';

afterEach(() => vi.restoreAllMocks());

const sampleOf = (text: string, name: string): number =>
  Number(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN);

test('both registries tell of the process', async () => {
  for (const { registry } of [createApiMetrics(() => Promise.resolve([])), createWorkerMetrics({ model: 'm' })]) {
    const text = await registry.metrics();
    for (const name of [
      'nodejs_eventloop_lag_p99_seconds',
      'process_resident_memory_bytes',
      'nodejs_heap_size_used_bytes',
    ])
      expect(sampleOf(text, name), name).toBeGreaterThanOrEqual(0);
  }
});

test('a main thread that was busy shows, until the next scrape', async () => {
  const registry = new Registry();
  collectProcessMetrics(registry);
  const until = performance.now() + 400;
  while (performance.now() < until);
  await sleep(1);
  const text = await registry.metrics();
  // It was to look after 100 ms.
  for (const kind of ['max', 'p99', 'mean']) {
    expect(sampleOf(text, `nodejs_eventloop_lag_${kind}_seconds`), kind).toBeGreaterThan(0.25);
  }
  expect(sampleOf(await registry.metrics(), 'nodejs_eventloop_lag_max_seconds')).toBe(0);
});

test('Node’s own monitor, which wakes an idle process a hundred times a second, sleeps', () => {
  const monitor = vi.spyOn(perfHooks, 'monitorEventLoopDelay');
  collectProcessMetrics(new Registry());
  const minute = 60_000;
  for (const [options] of monitor.mock.calls) expect(options?.resolution).toBeGreaterThan(minute);
});
