import {
  Counter,
  type CounterConfiguration,
  Gauge,
  type GaugeConfiguration,
  Histogram,
  type HistogramConfiguration,
  type Registry,
} from 'prom-client';

/** One metric as documentation and registry need it. */
export interface MetricRow {
  readonly name: string;
  /** What one unit of it means. */
  readonly help: string;
  readonly unit: 'ratio' | 'seconds' | 'tokens' | 'requests' | 'sequences' | 'jobs' | 'workers' | 'errors' | 'value';
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

/** How full: one is full. */
export const FILL_BUCKETS: readonly number[] = [0.1, 0.25, 0.5, 0.75, 0.9, 1];

/** Powers of two: batch sizes. */
export const SIZE_BUCKETS: readonly number[] = [1, 2, 4, 8, 16, 32, 64, 128, 256];

/** Makes instruments, all in one registry. */
export interface Instruments {
  counter(row: MetricRow): Counter;
  /** A gauge that is set by hand, or read by `collect` whenever the metrics are scraped. */
  gauge(row: MetricRow, collect?: (gauge: Gauge) => void | Promise<void>): Gauge;
  histogram(row: MetricRow): Histogram;
}

export function instrumentsOf(registry: Registry): Instruments {
  const registers = [registry];
  return {
    counter: (row) => new Counter({ ...common(row), registers }),
    gauge: (row, collect) => {
      const created: Gauge = new Gauge({
        ...common(row),
        registers,
        ...(collect === undefined ? {} : { collect: () => collect(created) }),
      });
      return created;
    },
    histogram: (row) => new Histogram({ ...common(row), buckets: [...(row.buckets ?? LATENCY_BUCKETS)], registers }),
  };
}

/** Instruments that measure nothing, for `METRICS=off`: a call costs nothing but itself. */
export function silentInstruments(): Instruments {
  const registers: Registry[] = [];
  return {
    counter: (row) => new SilentCounter({ ...common(row), registers }),
    gauge: (row) => new SilentGauge({ ...common(row), registers }),
    histogram: (row) => new SilentHistogram({ ...common(row), registers }),
  };
}

// prom-client gives each instrument its methods as properties of its own, which no method of a subclass covers.

class SilentCounter extends Counter {
  constructor(configuration: CounterConfiguration<string>) {
    super(configuration);
    this.inc = () => {};
  }
}

class SilentGauge extends Gauge {
  constructor(configuration: GaugeConfiguration<string>) {
    super(configuration);
    this.inc = () => {};
    this.dec = () => {};
    this.set = () => {};
  }
}

class SilentHistogram extends Histogram {
  constructor(configuration: HistogramConfiguration<string>) {
    super(configuration);
    this.observe = () => {};
  }
}

function common(row: MetricRow): { name: string; help: string; labelNames: string[] } {
  return { name: row.name, help: row.help, labelNames: [...row.labels] };
}
