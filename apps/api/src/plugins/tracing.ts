import type { ServerSpan, ServerSpans } from '@shoal/telemetry';
import type { FastifyRequest } from 'fastify';
import type { App } from '../app.ts';
import { routePath } from './route-path.ts';

/** Asked every few seconds by machines: spans of these would tell nothing and cost most. */
const UNTRACED = /^\/(health|metrics)/;

/** A span for every request; what its handler puts on a queue carries the trace on. */
export function installTracing(app: App, spans: ServerSpans): void {
  const open = new WeakMap<FastifyRequest, ServerSpan>();
  app.addHook('onRequest', async (request) => {
    if (UNTRACED.test(routePath(request))) return;
    const { method, headers } = request;
    open.set(request, spans.begin({ method, headers }));
  });
  // The body has arrived: reading it would have left the span's context.
  app.addHook('preHandler', (request, _reply, done) => {
    const span = open.get(request);
    if (span === undefined) done();
    else span.run(done);
  });
  app.addHook('onResponse', async (request, reply) => {
    const jobId = reply.getHeader('x-shoal-job-id');
    const span = open.get(request);
    if (typeof jobId === 'string') span?.set({ 'gen_ai.response.id': jobId });
    span?.end({ status: reply.statusCode, route: request.routeOptions.url });
    open.delete(request);
  });
  // A caller that leaves gets no response, but its span an end.
  app.addHook('onRequestAbort', async (request) => {
    open.get(request)?.end({ status: 499, route: request.routeOptions.url });
    open.delete(request);
  });
}
