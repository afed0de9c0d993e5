type TraceApi = Pick<typeof import('@opentelemetry/api'), 'context' | 'propagation'>;

let api: Promise<TraceApi | undefined> | undefined;

/**
 * The active trace as HTTP headers (`traceparent`, …), where this process has OpenTelemetry's API and has registered a
 * propagator; else none. The trace that the API begins for the request is then part of the caller's.
 */
export async function traceHeaders(): Promise<Record<string, string>> {
  // An optional peer: a service that does not trace need not have it. Looked for once.
  api ??= import('@opentelemetry/api').catch(() => undefined);
  const found = await api;
  const carrier: Record<string, string> = {};
  found?.propagation.inject(found.context.active(), carrier);
  return carrier;
}
