import { z } from 'zod';
import type { App } from '../app.ts';
import type { ServerContext } from '../deps.ts';
import { activityJson } from '../generate/activity-json.ts';
import { EventStream, streamOptions } from '../generate/event-stream.ts';
import { RequestScopes } from '../generate/request-scope.ts';
import { findModel } from '../generate/serve.ts';
import { OpenStreams } from '../plugins/open-streams.ts';
import { errorResponses } from '../schemas/route-docs.ts';

/** Each is sent some ten events a second and worker. */
const WATCHERS = { most: 100, mostOfTenant: 25 };

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
  const watchers = new OpenStreams(WATCHERS);
  // Nobody's answer: it does not hold up the end of the process.
  app.addHook('preClose', async () => closing.abort());

  app.get('/v1/activity', { schema: SCHEMA }, async (request, reply) => {
    const model = await findModel(context, request.query.model);
    const leave = watchers.enter(request.tenant);
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
      leave();
      stream.end();
      scope.end();
    }
  });
}
