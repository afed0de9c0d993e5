import {
  type Attributes,
  type Context,
  context,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';

/** One HTTP request while it is answered. */
export interface ServerSpan {
  /** Runs `work` inside the span: what it submits to a queue, and whatever it awaits, belongs to this trace. */
  run(work: () => void): void;
  /** What becomes known on the way. */
  set(attributes: Attributes): void;
  /** Ends it; a status of 500 or more is an error. `route` is the route's pattern, never the path. */
  end(answer: { status: number; route: string | undefined }): void;
}

/** Spans of HTTP requests, by OpenTelemetry's HTTP conventions; they join the caller's trace (`traceparent`). */
export class ServerSpans {
  readonly #tracer: Tracer;

  constructor(tracer: Tracer) {
    this.#tracer = tracer;
  }

  begin(request: { method: string; headers: Readonly<Record<string, unknown>> }): ServerSpan {
    const parent = propagation.extract(context.active(), request.headers);
    const attributes = { 'http.request.method': request.method };
    const span = this.#tracer.startSpan(request.method, { kind: SpanKind.SERVER, attributes }, parent);
    const inside: Context = trace.setSpan(parent, span);
    return {
      run: (work) => context.with(inside, work),
      set: (attributes) => void span.setAttributes(attributes),
      end: ({ status, route }) => endServerSpan(span, request.method, status, route),
    };
  }
}

function endServerSpan(span: Span, method: string, status: number, route: string | undefined): void {
  if (route !== undefined) span.updateName(`${method} ${route}`).setAttribute('http.route', route);
  span.setAttribute('http.response.status_code', status);
  if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end();
}
