import { type RequestEvent, ShoalError } from '@shoal/protocol';
import type { App } from '../app.ts';
import type { ServerContext } from '../deps.ts';
import { EventStream, streamOptions } from '../generate/event-stream.ts';
import { findJob } from '../generate/find-job.ts';
import { eventJson } from '../generate/job-shape.ts';
import { reasonOf } from '../generate/request-scope.ts';
import { errorJson } from '../plugins/errors.ts';
import { OpenStreams } from '../plugins/open-streams.ts';
import { JobPath } from '../schemas/bodies.ts';
import { errorResponses } from '../schemas/route-docs.ts';

const SCHEMA = {
  tags: ['jobs'],
  summary: 'Follow a job',
  description: 'Server-sent events; `Last-Event-ID` resumes. Leaving does not cancel the job.',
  params: JobPath,
  response: errorResponses(
    ...(['invalid_request_error', 'invalid_api_key', 'job_not_found', 'rate_limit_exceeded', 'unavailable'] as const),
  ),
};

/** Of the callers that this process takes in, the part that may be one tenant's readers. */
const SHARE_OF_TENANT = 1 / 4;

/**
 * A job's events from its first token, or from `Last-Event-ID` on; any replica can serve them, to many readers. The
 * `id` of an event is the length of the token log after it. Leaving does not cancel the job.
 */
export function jobEventRoutes(app: App, context: ServerContext): void {
  const readers = new OpenStreams({ mostOfTenant: Math.ceil(context.config.maxQueueSize * SHARE_OF_TENANT) });
  app.get('/v1/jobs/:id/events', { schema: SCHEMA }, async (request, reply) => {
    const position = positionOf(request.headers['last-event-id']);
    const { model, view } = await findJob(context.models, request.params.id, request.tenant);
    const leave = readers.enter(request.tenant);
    const scope = context.scopes.open(reply.raw);
    const stream = new EventStream(reply, streamOptions(context));
    try {
      let at = position;
      const events = model.replies.attach(view.id, { position });
      scope.onAbort(() => events.close());
      for await (const event of events) {
        at = positionAfter(event, at);
        await stream.send(JSON.stringify(eventJson(view.id, event)), at);
      }
      if (scope.reason !== undefined) throw reasonOf(scope);
      return undefined;
    } catch (error) {
      if (!stream.opened) throw error;
      await stream.send(JSON.stringify(errorJson(error))).catch(() => {});
      return undefined;
    } finally {
      leave();
      stream.end();
      scope.end();
    }
  });
}

/** No log is longer, and Lua writes every number up to here with all its digits. */
const POSITION = /^\d{1,13}$/;

function positionOf(lastEventId: string | string[] | undefined): number {
  if (lastEventId === undefined || lastEventId === '') return 0;
  if (typeof lastEventId === 'string' && POSITION.test(lastEventId)) return Number(lastEventId);
  throw new ShoalError('invalid_request_error', 'Last-Event-ID must be the id of an event of this stream', {
    param: 'Last-Event-ID',
  });
}

function positionAfter(event: RequestEvent, before: number): number {
  if (event.type === 'tokens') return event.position + event.tokenIds.length;
  if (event.type === 'failed') return before;
  const choices = event.result.choices ?? [event.result];
  return choices.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
}
