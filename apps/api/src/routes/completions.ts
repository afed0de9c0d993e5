import type { App } from '../app.ts';
import type { ServerContext } from '../deps.ts';
import { completionShape } from '../generate/completion-shape.ts';
import { specOfCompletion } from '../generate/generation-spec.ts';
import { serveGeneration } from '../generate/serve.ts';
import { CompletionBody } from '../schemas/bodies.ts';
import { CompletionResponse } from '../schemas/responses.ts';
import { GENERATION_ERRORS } from '../schemas/route-docs.ts';

const ENDPOINT = '/v1/completions';

const SCHEMA = {
  tags: ['generate'],
  summary: 'Continue a text',
  description:
    '`x-shoal-job-id` names the job; of several prompts all jobs, separated by commas. Beyond 1 KiB it is what their ' +
    'ids begin with, and `x-shoal-job-count` how many they are: `<id>-0`, `<id>-1`, ….',
  body: CompletionBody,
  response: { 200: CompletionResponse.describe('With `stream`: server-sent events instead'), ...GENERATION_ERRORS },
};

/** Continues text or token ids. */
export function completionRoutes(app: App, context: ServerContext): void {
  app.post(ENDPOINT, { schema: SCHEMA }, (request, reply) => {
    const spec = specOfCompletion(request.body);
    return serveGeneration(context, spec, completionShape, { request, reply, endpoint: ENDPOINT });
  });
}
