import type { App } from '../app.ts';
import type { ServerDeps } from '../deps.ts';

/** Prometheus text. */
export function metricsRoutes(app: App, deps: ServerDeps): void {
  app.get('/metrics', { schema: { tags: ['service'], summary: 'Prometheus metrics' } }, async (_request, reply) => {
    const { registry } = deps.metrics;
    return reply.type(registry.contentType).send(await registry.metrics());
  });
}
