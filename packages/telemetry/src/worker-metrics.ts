import type { EngineStats } from '@shoal/engine';
import { type Gauge, Registry } from 'prom-client';
import { type ConsumerMeasurements, consumerMeasurements, consumerMetricTable } from './consumer-metrics.ts';
import { type EngineMeasurements, engineMeasurements, engineMetricTable } from './engine-metrics.ts';
import { instrumentsOf, type MetricTable, silentInstruments } from './metric.ts';
import { collectProcessMetrics } from './process-metrics.ts';

/** What a worker measures: the engine's and the queue's side of every request, whoever sent it. */
export interface WorkerMeasurements extends EngineMeasurements, ConsumerMeasurements {
  settings: Gauge;
}

export interface WorkerMetrics extends WorkerMeasurements {
  readonly registry: Registry;
}

/** Every sample also carries the label `model`. */
export const workerMetricTable: MetricTable<WorkerMeasurements> = {
  ...engineMetricTable,
  settings: {
    name: 'shoal_worker_setting',
    help: 'Settings that can be changed at run time, as they are in force; a log level as pino numbers it.',
    unit: 'value',
    labels: ['setting'],
  },
  ...consumerMetricTable,
};

/**
 * The worker's metrics in a registry of their own, with Node's (event-loop delay, memory, CPU).
 * `stats` is asked at each scrape; it answers undefined while there is no engine.
 */
export function createWorkerMetrics(options: {
  model: string;
  stats?: () => EngineStats | undefined;
  enabled?: boolean;
}): WorkerMetrics {
  const registry = new Registry();
  const { model, stats, enabled = true } = options;
  registry.setDefaultLabels({ model });
  if (enabled) collectProcessMetrics(registry);
  const instruments = enabled ? instrumentsOf(registry) : silentInstruments();
  return {
    registry,
    ...engineMeasurements(instruments, () => stats?.() ?? NO_STATS),
    settings: instruments.gauge(workerMetricTable.settings),
    ...consumerMeasurements(instruments),
  };
}

const NO_STATS: EngineStats = { waiting: 0, running: 0, slots: 0, steps: 0, kvUsedTokens: 0, kvBudgetTokens: 0 };
