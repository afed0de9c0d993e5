import { openaiBody, ShoalError } from '@shoal/protocol';
import type { FastifyReply } from 'fastify';
import type { App } from '../app.ts';
import type { ServerContext } from '../deps.ts';
import { findJob } from '../generate/find-job.ts';
import { jobJson } from '../generate/job-shape.ts';
import { listJobs } from '../generate/list-jobs.ts';
import { measureSubmission, outcomeOf } from '../generate/measure.ts';
import { mayReuse } from '../generate/submission.ts';
import {
  type AcceptedJob,
  idempotencyKey,
  type JobCaller,
  type JobSpec,
  specOfJob,
  submitJobs,
  submittedBefore,
} from '../generate/submit-jobs.ts';
import type { Visit } from '../plugins/tenant-limits.ts';
import { type JobBody, JobPath, JobQuery, JobsBody, JobsQuery } from '../schemas/bodies.ts';
import { JobListResponse, JobPageResponse, JobResponse } from '../schemas/responses.ts';
import { errorResponses } from '../schemas/route-docs.ts';

const ENDPOINT = '/v1/jobs';
/** A thousand jobs take more room than one request. */
const BODY_BYTES = 16 * 1024 * 1024;

const SUBMIT = {
  tags: ['jobs'],
  summary: 'Submit a job, or up to 1,000',
  description:
    'The body that an endpoint would take, and which endpoint; or an array of them, accepted together or not at all. ' +
    'With `Idempotency-Key`, a repeated submission of one job answers with the first.',
  body: JobsBody,
  response: {
    202: JobResponse.or(JobListResponse),
    ...errorResponses(
      ...(['invalid_request_error', 'context_length_exceeded', 'invalid_api_key', 'model_not_found'] as const),
      ...(['idempotency_conflict', 'payload_too_large', 'queue_full', 'rate_limit_exceeded', 'unavailable'] as const),
    ),
  },
};
const LIST = {
  tags: ['jobs'],
  summary: 'List your jobs',
  description: 'Newest first; a page may hold fewer than `limit`, also none, while `has_more` is true.',
  querystring: JobsQuery,
  response: { 200: JobPageResponse, ...errorResponses('invalid_request_error', 'invalid_api_key', 'unavailable') },
};
const LOOK = {
  tags: ['jobs'],
  summary: 'Look at a job',
  description: 'With `include=request`, also what it was asked, seed included: the body that runs it again.',
  params: JobPath,
  querystring: JobQuery,
  response: {
    200: JobResponse,
    ...errorResponses('invalid_request_error', 'invalid_api_key', 'job_not_found', 'unavailable'),
  },
};
const CANCEL = {
  tags: ['jobs'],
  summary: 'Cancel a job',
  params: JobPath,
  response: {
    200: JobResponse.describe('It is cancelled, or was finished before.'),
    202: JobResponse.describe('Its worker will stop at the next step.'),
    ...errorResponses('invalid_api_key', 'job_not_found', 'unavailable'),
  },
};

/** Requests that nobody waits for: submit, list, look, cancel. Their events are in `job-events.ts`. */
export function jobRoutes(app: App, context: ServerContext): void {
  app.post(ENDPOINT, { schema: SUBMIT, bodyLimit: BODY_BYTES }, async (request, reply) => {
    const bodies: JobBody[] = Array.isArray(request.body) ? request.body : [request.body];
    const measure = measureSubmission(context.metrics, ENDPOINT);
    let jobs: AcceptedJob[];
    try {
      const key = idempotencyKey(request.headers['idempotency-key'], bodies.length);
      const specs = bodies.map(specOfJob);
      measure.mixed = specs.some(({ model }) => model !== specs[0]?.model);
      const reuse = mayReuse(context.config, request.headers['cache-control']);
      jobs = await submitWithinLimits(context, reply, specs, { tenant: request.tenant, key, reuse, measure });
      measure.done('accepted');
    } catch (error) {
      measure.done(outcomeOf(error));
      throw error;
    }
    reply.code(202);
    if (Array.isArray(request.body))
      return { object: 'list', data: jobs.map(({ view, model }) => jobJson(view, model)) };

    const [job] = jobs;
    if (job === undefined) throw new RangeError('one body is one job');
    reply.headers({ location: `/v1/jobs/${job.view.id}`, 'x-shoal-job-id': job.view.id });
    return jobJson(job.view, job.model);
  });

  app.get(ENDPOINT, { schema: LIST }, async (request) => {
    const { status, limit, after } = request.query;
    const page = await listJobs(await context.models.list(), { tenant: request.tenant, status, limit, after });
    const data = page.jobs.map(({ view, model }) => jobJson(view, model));
    return { object: 'list', data, has_more: page.after !== undefined, after: page.after ?? null };
  });

  app.get('/v1/jobs/:id', { schema: LOOK }, async (request) => {
    const { view, model } = await findJob(context.models, request.params.id, request.tenant);
    const shown = jobJson(view, model.card.name);
    if (request.query.include !== 'request') return shown;
    const asked = await model.producer.request(view.id);
    return asked === undefined ? shown : { ...shown, request: { model: model.card.name, ...openaiBody(asked) } };
  });

  app.delete('/v1/jobs/:id', { schema: CANCEL }, async (request, reply) => {
    const { view, model } = await findJob(context.models, request.params.id, request.tenant);
    const outcome = await model.producer.cancel(view.id);
    if (outcome === 'unknown') throw new ShoalError('job_not_found', 'this job is no longer kept');
    // The worker that runs it will stop at its next step.
    if (outcome === 'stopping') return reply.code(202).send(jobJson(view, model.card.name));
    const after = await model.producer.view(view.id);
    return jobJson(after ?? { ...view, status: outcome === 'cancelled' ? 'cancelled' : view.status }, model.card.name);
  });
}

/** What was submitted before, under the same key, costs nothing, and is answered also to a tenant who has nothing left. */
async function submitWithinLimits(
  context: ServerContext,
  reply: FastifyReply,
  specs: readonly JobSpec[],
  caller: JobCaller,
): Promise<AcceptedJob[]> {
  let visit: Visit;
  try {
    visit = await context.limits.pass(caller.tenant);
  } catch (refusal) {
    const [spec] = specs;
    const before = spec === undefined ? undefined : await submittedBefore(context, spec, caller);
    if (before === undefined) throw refusal;
    return [before];
  }
  reply.headers(visit.headers);
  const jobs = await submitJobs(context, specs, caller);
  visit.leave(jobs.reduce((sum, { tokens }) => sum + tokens, 0));
  return jobs;
}
