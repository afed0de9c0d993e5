import type { App } from '../app.ts';
import type { ServerDeps } from '../deps.ts';
import { completionShape } from '../generate/completion-shape.ts';
import { specOfCompletion } from '../generate/generation-spec.ts';
import { serveGeneration } from '../generate/serve.ts';
import { CompletionBody } from '../schemas/bodies.ts';

const ENDPOINT = '/v1/completions';

/** Continues text or token ids. */
export function completionRoutes(app: App, deps: ServerDeps, shutdown: AbortSignal): void {
  app.post(ENDPOINT, { schema: { body: CompletionBody } }, (request, reply) => {
    const spec = specOfCompletion(request.body);
    return serveGeneration(deps, spec, completionShape, { request, reply, endpoint: ENDPOINT, shutdown });
  });
}
