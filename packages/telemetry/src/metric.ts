import { Counter, collectDefaultMetrics, Gauge, Histogram, type Registry } from 'prom-client';

/** One metric as documentation and registry need it. */
export interface MetricRow {
  readonly name: string;
  /** What one unit of it means. */
  readonly help: string;
  readonly unit: 'ratio' | 'seconds' | 'tokens' | 'requests' | 'sequences' | 'batches' | 'jobs' | 'errors';
  readonly labels: readonly string[];
  /** Upper bounds, for histograms. */
  readonly buckets?: readonly number[];
}

/** The rows behind a set of metrics: one per property. */
export type MetricTable<Metrics> = { readonly [Key in keyof Metrics]: MetricRow };

/** From one millisecond to five minutes: queue times and first tokens of small models are far below a second. */
export const LATENCY_BUCKETS: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300,
];

/** One model run: from a fraction of a millisecond (a small decoder) to seconds (a long prefill on a CPU). */
export const STEP_BUCKETS: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

/** A prediction beside what came: one is right. */
export const RATIO_BUCKETS: readonly number[] = [0.25, 0.5, 0.75, 0.9, 1, 1.1, 1.25, 1.5, 2, 4];

/** Powers of two: batch sizes. */
export const SIZE_BUCKETS: readonly number[] = [1, 2, 4, 8, 16, 32, 64, 128, 256];

export function counter(row: MetricRow, registry: Registry): Counter {
  return new Counter({ ...common(row), registers: [registry] });
}

/** A gauge that is set by hand, or read by `collect` whenever the metrics are scraped. */
export function gauge(row: MetricRow, registry: Registry, collect?: (gauge: Gauge) => void | Promise<void>): Gauge {
  const created: Gauge = new Gauge({
    ...common(row),
    registers: [registry],
    ...(collect === undefined ? {} : { collect: () => collect(created) }),
  });
  return created;
}

export function histogram(row: MetricRow, registry: Registry): Histogram {
  return new Histogram({ ...common(row), buckets: [...(row.buckets ?? LATENCY_BUCKETS)], registers: [registry] });
}

/**
 * Node's own metrics under their usual names, but for three gauges that are named like counters, which Prometheus' own
 * linter refuses (`nodejs_active_handles` and its like tell the same by kind).
 */
export function collectProcessMetrics(registry: Registry): void {
  collectDefaultMetrics({ register: registry });
  for (const kind of ['handles', 'requests', 'resources']) registry.removeSingleMetric(`nodejs_active_${kind}_total`);
}

function common(row: MetricRow): { name: string; help: string; labelNames: string[] } {
  return { name: row.name, help: row.help, labelNames: [...row.labels] };
}
