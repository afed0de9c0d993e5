import { context, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  SamplingDecision,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { BatchSpans, isBatchSpan } from './batch-spans.ts';
import { ExportWatch } from './export-watch.ts';
import { JobSpans } from './job-spans.ts';
import { ServerSpans } from './server-spans.ts';
import type { Tracing, TracingOptions } from './start-tracing.ts';

/** A batch may hold this many requests, and each is a link. */
const MOST_LINKS = 1_024;
const EXPORT_TIMEOUT_MS = 5_000;
const EXPORT_INTERVAL_MS = 1_000;

/** Registers the process's tracer provider, so that the queue's producers carry the active trace into their jobs. */
export function openTracing(options: TracingOptions & { endpoint: string }): Tracing {
  const { service, instance, endpoint, sample, logger } = options;
  const url = `${endpoint.replace(/\/+$/, '')}/v1/traces`;
  const headers = headersOf(options.headers);
  const watch = new ExportWatch({ logger, url, headers, now: () => performance.now() });
  watch.install();
  const exporter = watch.over(new OTLPTraceExporter({ url, headers, timeoutMillis: EXPORT_TIMEOUT_MS }));
  const times = { exportTimeoutMillis: EXPORT_TIMEOUT_MS, scheduledDelayMillis: EXPORT_INTERVAL_MS };
  const processor = new BatchSpanProcessor({ exporter, ...times });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': service, 'service.instance.id': instance }),
    sampler: samplerOf(sample),
    spanLimits: { linkCountLimit: MOST_LINKS },
    spanProcessors: [processor],
  });
  trace.setGlobalTracerProvider(provider);
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const tracer = provider.getTracer('shoal');
  return {
    server: new ServerSpans(tracer),
    jobs: (of) => new JobSpans(tracer, of),
    batches: (of) => new BatchSpans(tracer, of),
    close: () => within(EXPORT_TIMEOUT_MS, provider.shutdown()),
  };
}

/** The caller's decision, or a share of what begins here. A batch span is begun only for a request that is recorded. */
function samplerOf(sample: number): Sampler {
  const requests = new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(sample) });
  return {
    shouldSample: (parent, traceId, name, kind, attributes, links) =>
      isBatchSpan(attributes)
        ? { decision: SamplingDecision.RECORD_AND_SAMPLED }
        : requests.shouldSample(parent, traceId, name, kind, attributes, links),
    toString: () => `batches, and of requests ${requests.toString()}`,
  };
}

function headersOf(headers: string | undefined): Record<string, string> {
  const pairs = (headers ?? '').split(',').filter((pair) => pair !== '');
  return Object.fromEntries(pairs.map((pair) => splitPair(pair)));
}

function splitPair(pair: string): [string, string] {
  const at = pair.indexOf('=');
  const value = pair.slice(at + 1).trim();
  try {
    return [pair.slice(0, at).trim(), decodeURIComponent(value)];
  } catch {
    return [pair.slice(0, at).trim(), value];
  }
}

async function within(ms: number, done: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  // A collector that is away is no reason to stay.
  await Promise.race([done.catch(() => {}), limit]);
  clearTimeout(timer);
}
