import { collectDefaultMetrics, type Registry } from 'prom-client';
import { EventLoopLag } from './event-loop-lag.ts';

/** As long as a timer may wait: prom-client's own monitor of the event loop, which cannot be left out, stays asleep. */
const NEVER_MS = 2 ** 31 - 1;
const LAG_OF_PROM_CLIENT = ['', '_min', '_max', '_mean', '_stddev', '_p50', '_p90', '_p99'];

/**
 * Node's own metrics under their usual names, but for three gauges that are named like counters, which Prometheus' own
 * linter refuses (`nodejs_active_handles` and its like tell the same by kind), and for the lag of the event loop: Node's
 * monitor, which prom-client asks, wakes the process a hundred times a second, and a worker's model shares its cores.
 */
export function collectProcessMetrics(registry: Registry): void {
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: NEVER_MS });
  for (const kind of ['handles', 'requests', 'resources']) registry.removeSingleMetric(`nodejs_active_${kind}_total`);
  for (const kind of LAG_OF_PROM_CLIENT) registry.removeSingleMetric(`nodejs_eventloop_lag${kind}_seconds`);
  new EventLoopLag(registry).start();
}
