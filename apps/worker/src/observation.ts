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
}

type ObservedEngine = Pick<GenerationEngine, 'observe' | 'stats'>;

/** All that a worker tells of itself: metrics, spans, a log line per request, the figures of its heartbeat. */
export class Observation {
  readonly metrics: WorkerMetrics;
  readonly #parts: ObservationParts;
  readonly #tracing: Tracing | undefined;
  readonly #jobs: JobSpans | undefined;
  readonly #throughput = new Throughput(() => performance.now());
  readonly #startedAt = Date.now();
  #engine: ObservedEngine | undefined;

  private constructor(parts: ObservationParts, tracing: Tracing | undefined) {
    const { id: worker, config } = parts;
    const { modelName: model } = config;
    this.#parts = parts;
    this.#tracing = tracing;
    this.metrics = createWorkerMetrics({ model, stats: () => this.#engine?.stats(), enabled: config.metrics === 'on' });
    this.#jobs = tracing?.jobs({ model, worker });
  }

  static async start(parts: ObservationParts): Promise<Observation> {
    const { id: instance, logger } = parts;
    const { otlpEndpoint: endpoint, otlpHeaders: headers, traceSample: sample } = parts.config;
    const tracing = await startTracing({ service: 'shoal-worker', instance, endpoint, headers, sample, logger });
    return new Observation(parts, tracing);
  }

  /** From now on it tells of this engine, too: the process is watched before its model is there. */
  attach(engine: ObservedEngine): void {
    this.#engine = engine;
    const { id: worker, config } = this.#parts;
    if (config.metrics === 'on') observeEngine(engine, this.metrics);
    engine.observe((fact) => {
      if (fact.type === 'sample') this.#throughput.add(fact.tokens);
    });
    if (this.#tracing === undefined || this.#jobs === undefined) return;
    const batches = this.#tracing.batches({ model: config.modelName, worker, jobs: this.#jobs });
    engine.observe((fact) => batches.record(fact));
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
    const stats = this.#engine?.stats() ?? { slots: 0, running: 0, waiting: 0, kvUsedTokens: 0, kvBudgetTokens: 0 };
    const { slots, running, waiting, kvUsedTokens, kvBudgetTokens } = stats;
    const tokensPerSecond = this.#throughput.perSecond;
    const figures = { slots, running, waiting, kvUsedTokens, kvBudgetTokens, tokensPerSecond };
    return { worker: this.#parts.id, state, ...figures, settings, startedAt: this.#startedAt };
  }

  /** Sends what is left of the spans. */
  async close(): Promise<void> {
    await this.#tracing?.close();
  }
}
