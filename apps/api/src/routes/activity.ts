import { ShoalError } from '@shoal/protocol';
import { z } from 'zod';
import type { App } from '../app.ts';
import type { ServerContext } from '../deps.ts';
import { activityJson } from '../generate/activity-json.ts';
import { EventStream, streamOptions } from '../generate/event-stream.ts';
import { RequestScopes } from '../generate/request-scope.ts';
import { findModel } from '../generate/serve.ts';
import { errorResponses } from '../schemas/route-docs.ts';

/** Each is sent some ten events a second and worker. */
const MOST_WATCHERS = 100;
const RETRY_AFTER_MS = 5_000;

const ActivityQuery: z.ZodType<{ model: string }, unknown> = z.object({ model: z.string().min(1).max(256) });

const SCHEMA = {
  tags: ['service'],
  summary: 'Watch the batches of a model',
  description:
    'Server-sent events: `activity.frame` tells for one worker which sequences ride in its batch, in which lane, since ' +
    'which step, and which steps were run (at most ten a second); `activity.queue` tells how many jobs wait and run. ' +
    'A frame tells the whole of the present. Sequences of other tenants have no `job_id`.',
  querystring: ActivityQuery,
  response: errorResponses(
    ...(['invalid_request_error', 'invalid_api_key', 'model_not_found', 'rate_limit_exceeded', 'unavailable'] as const),
  ),
};

/** What the workers of a model do, live. A watcher that does not keep up misses events; one that does not read is cut off. */
export function activityRoutes(app: App, context: ServerContext): void {
  const closing = new AbortController();
  const scopes = new RequestScopes(closing.signal);
  let watchers = 0;
  // Nobody's answer: it does not hold up the end of the process.
  app.addHook('preClose', async () => closing.abort());

  app.get('/v1/activity', { schema: SCHEMA }, async (request, reply) => {
    const model = await findModel(context, request.query.model);
    if (watchers >= MOST_WATCHERS) {
      const message = `${watchers} callers watch this server already; try again later`;
      throw new ShoalError('rate_limit_exceeded', message, { retryAfterMs: RETRY_AFTER_MS });
    }
    watchers += 1;
    const scope = scopes.open(reply.raw);
    const stream = new EventStream(reply, streamOptions(context));
    try {
      for await (const event of model.activity.watch(scope.signal)) {
        await stream.send(JSON.stringify(activityJson(event, request.tenant)));
      }
      return undefined;
    } catch (error) {
      if (!stream.opened) throw error;
      return undefined;
    } finally {
      watchers -= 1;
      stream.end();
      scope.end();
    }
  });
}
