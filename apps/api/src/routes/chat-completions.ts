import type { App } from '../app.ts';
import type { ServerContext } from '../deps.ts';
import { chatShape } from '../generate/chat-shape.ts';
import { specOfChat } from '../generate/generation-spec.ts';
import { serveGeneration } from '../generate/serve.ts';
import { ChatBody } from '../schemas/bodies.ts';
import { ChatResponse } from '../schemas/responses.ts';
import { GENERATION_ERRORS } from '../schemas/route-docs.ts';

const ENDPOINT = '/v1/chat/completions';

const SCHEMA = {
  tags: ['generate'],
  summary: 'Answer a conversation',
  body: ChatBody,
  response: { 200: ChatResponse.describe('With `stream`: server-sent events instead'), ...GENERATION_ERRORS },
};

/** Answers a conversation. */
export function chatCompletionRoutes(app: App, context: ServerContext): void {
  app.post(ENDPOINT, { schema: SCHEMA }, (request, reply) => {
    const spec = specOfChat(request.body);
    return serveGeneration(context, spec, chatShape, { request, reply, endpoint: ENDPOINT });
  });
}
