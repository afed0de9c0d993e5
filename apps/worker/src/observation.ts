import type { WorkerConfig } from '@shoal/config';
import type { GenerationEngine } from '@shoal/engine';
import type { WorkerReport } from '@shoal/protocol';
import type { ClaimedJob, Consumer } from '@shoal/queue';
import {
  createWorkerMetrics,
  type JobSpans,
  type Logger,
  logJob,
  observeConsumer,
  observeEngine,
  startTracing,
  Throughput,
  type Tracing,
  type WorkerMetrics,
  watchJob,
} from '@shoal/telemetry';

export interface ObservationParts {
  id: string;
  config: Readonly<WorkerConfig>;
  logger: Logger;
  engine: Pick<GenerationEngine, 'observe' | 'stats'>;
}

/** All that a worker tells of itself: metrics, spans, a log line per request, the figures of its heartbeat. */
export class Observation {
  readonly metrics: WorkerMetrics;
  readonly #parts: ObservationParts;
  readonly #tracing: Tracing | undefined;
  readonly #jobs: JobSpans | undefined;
  readonly #throughput = new Throughput(() => performance.now());
  readonly #startedAt = Date.now();

  private constructor(parts: ObservationParts, tracing: Tracing | undefined) {
    const { id: worker, config, engine } = parts;
    const { modelName: model } = config;
    this.#parts = parts;
    this.#tracing = tracing;
    const enabled = config.metrics === 'on';
    this.metrics = createWorkerMetrics({ model, stats: () => engine.stats(), enabled });
    if (enabled) observeEngine(engine, this.metrics);
    engine.observe((fact) => {
      if (fact.type === 'sample') this.#throughput.add(fact.tokens);
    });
    this.#jobs = tracing?.jobs({ model, worker });
    if (tracing === undefined || this.#jobs === undefined) return;
    const batches = tracing.batches({ model, worker, jobs: this.#jobs });
    engine.observe((fact) => batches.record(fact));
  }

  static async start(parts: ObservationParts): Promise<Observation> {
    const { otlpEndpoint: endpoint, otlpHeaders: headers, traceSample: sample } = parts.config;
    const tracing = await startTracing({ service: 'shoal-worker', instance: parts.id, endpoint, headers, sample });
    return new Observation(parts, tracing);
  }

  observe(consumer: Pick<Consumer, 'observe'>): void {
    observeConsumer(consumer, this.metrics, this.#parts.logger);
  }

  /** The same job, whose end becomes spans and a log line. */
  watched(job: ClaimedJob): ClaimedJob {
    const spans = this.#jobs?.begin(job);
    const { logger, config } = this.#parts;
    const line = logJob(logger, job, { share: config.logSample, traceId: spans?.traceId });
    return watchJob(job, spans === undefined ? [line] : [line, spans]);
  }

  report(state: WorkerReport['state'], settings: Record<string, string>): WorkerReport {
    const { slots, running, waiting, kvUsedTokens, kvBudgetTokens } = this.#parts.engine.stats();
    const tokensPerSecond = this.#throughput.perSecond;
    const figures = { slots, running, waiting, kvUsedTokens, kvBudgetTokens, tokensPerSecond };
    return { worker: this.#parts.id, state, ...figures, settings, startedAt: this.#startedAt };
  }

  /** Sends what is left of the spans. */
  async close(): Promise<void> {
    await this.#tracing?.close();
  }
}
