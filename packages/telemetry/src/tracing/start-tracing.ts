import type { Logger } from '../logger.ts';
import type { BatchSpans } from './batch-spans.ts';
import type { JobSpans } from './job-spans.ts';
import type { ServerSpans } from './server-spans.ts';

export interface TracingOptions {
  /** `shoal-api` or `shoal-worker`. */
  service: string;
  /** Unique among the processes of that service. */
  instance: string;
  /** `OTEL_EXPORTER_OTLP_ENDPOINT`; nothing is traced without one. */
  endpoint: string | undefined;
  /** `OTEL_EXPORTER_OTLP_HEADERS`: `name=value`, separated by commas, values URL-encoded. */
  headers?: string | undefined;
  /** Share of the traces begun here that are recorded, 0 … 1. */
  sample: number;
  /** Told when spans do not arrive, and when they do again. */
  logger: Pick<Logger, 'info' | 'warn'>;
}

/** The spans of this process, on their way to a collector. */
export interface Tracing {
  /** Spans of HTTP requests. */
  readonly server: ServerSpans;
  /** Spans of claimed jobs. */
  jobs(options: { model: string; worker: string }): JobSpans;
  /** Spans of batches. */
  batches(options: { model: string; worker: string; jobs: JobSpans }): BatchSpans;
  /** Sends what is left; resolves in bounded time, whether or not the collector took it. */
  close(): Promise<void>;
}

/**
 * Begins to trace where an endpoint is set. The SDK is loaded only then: without one, tracing costs neither time nor
 * memory.
 */
export async function startTracing(options: TracingOptions): Promise<Tracing | undefined> {
  if (options.endpoint === undefined) return undefined;
  const { openTracing } = await import('./open-tracing.ts');
  return openTracing({ ...options, endpoint: options.endpoint });
}
