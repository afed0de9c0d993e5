import type { App } from '../app.ts';
import type { ServerDeps } from '../deps.ts';

/** For load balancers and orchestrators; no key is asked for. */
export function healthRoutes(app: App, deps: ServerDeps): void {
  app.get('/health/live', { schema: { tags: ['service'], summary: 'Is the process alive?' } }, async () => ({
    status: 'ok',
  }));
  // Rejects with `unavailable`, which is the 503 wanted, while Redis is away.
  app.get('/health/ready', { schema: { tags: ['service'], summary: 'Does Redis answer?' } }, async () => {
    await deps.models.ping();
    return { status: 'ok' };
  });
}
