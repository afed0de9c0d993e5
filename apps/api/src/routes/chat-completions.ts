import type { App } from '../app.ts';
import type { ServerDeps } from '../deps.ts';
import { chatShape } from '../generate/chat-shape.ts';
import { specOfChat } from '../generate/generation-spec.ts';
import { serveGeneration } from '../generate/serve.ts';
import { ChatBody } from '../schemas/bodies.ts';

const ENDPOINT = '/v1/chat/completions';

/** Answers a conversation. */
export function chatCompletionRoutes(app: App, deps: ServerDeps, shutdown: AbortSignal): void {
  app.post(ENDPOINT, { schema: { body: ChatBody } }, (request, reply) => {
    const spec = specOfChat(request.body);
    return serveGeneration(deps, spec, chatShape, { request, reply, endpoint: ENDPOINT, shutdown });
  });
}
