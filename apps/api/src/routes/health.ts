import type { App } from '../app.ts';
import type { ServerDeps } from '../deps.ts';

/** For load balancers and orchestrators; no key is asked for. */
export function healthRoutes(app: App, deps: ServerDeps): void {
  app.get('/health/live', async () => ({ status: 'ok' }));
  // Rejects with `unavailable`, which is the 503 wanted, while Redis is away.
  app.get('/health/ready', async () => {
    await deps.models.ping();
    return { status: 'ok' };
  });
}
