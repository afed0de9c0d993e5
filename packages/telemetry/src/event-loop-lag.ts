import { createHistogram } from 'node:perf_hooks';
import { Gauge, type Registry } from 'prom-client';

/** Often enough that whatever keeps a process from answering for a tenth of a second is seen; rare enough to cost nothing. */
const EVERY_MS = 100;
const NS_PER_MS = 1e6;
const NS_PER_S = 1e9;

const QUANTILES = { p50: 50, p90: 90, p99: 99 } as const;

/**
 * How late timers fire, in seconds, since the metrics were last asked for: how long whatever comes to this process waits
 * for its main thread. Told under the names that prom-client has for it.
 */
export class EventLoopLag {
  readonly #lateNs = createHistogram();

  constructor(registry: Registry) {
    const registers = [registry];
    const gauge = (kind: string, collect: () => number): Gauge => {
      const created: Gauge = new Gauge({
        name: `nodejs_eventloop_lag_${kind}_seconds`,
        help: `Lag of the event loop since the last scrape, ${kind}.`,
        registers,
        collect: () => created.set(collect()),
      });
      return created;
    };
    const seconds = (ns: number): number => (this.#lateNs.count === 0 ? 0 : ns / NS_PER_S);
    gauge('mean', () => seconds(this.#lateNs.mean));
    for (const [kind, percent] of Object.entries(QUANTILES))
      gauge(kind, () => seconds(this.#lateNs.percentile(percent)));
    // The last one of a scrape: what was seen so far has been told.
    gauge('max', () => {
      const max = seconds(this.#lateNs.max);
      this.#lateNs.reset();
      return max;
    });
  }

  /** Looks from now on; that alone keeps no process alive. */
  start(): void {
    let dueAt = performance.now() + EVERY_MS;
    const look = (): void => {
      const now = performance.now();
      this.#lateNs.record(Math.max(1, Math.round((now - dueAt) * NS_PER_MS)));
      dueAt = now + EVERY_MS;
      setTimeout(look, EVERY_MS).unref();
    };
    setTimeout(look, EVERY_MS).unref();
  }
}
