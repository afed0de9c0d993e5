import { ShoalError } from '@shoal/protocol';
import type { JobView } from '@shoal/queue';
import type { App } from '../app.ts';
import type { ServerDeps } from '../deps.ts';
import { findJob } from '../generate/find-job.ts';
import { checkAgainstModel, type GenerationSpec, specOfChat, specOfCompletion } from '../generate/generation-spec.ts';
import { jobJson } from '../generate/job-shape.ts';
import { findModel } from '../generate/serve.ts';
import { requestsOf } from '../generate/submission.ts';
import { ChatBody, CompletionBody, JobBody, type JobEndpoint, JobPath } from '../schemas/bodies.ts';
import { validate } from '../schemas/validate.ts';

/** Requests that nobody waits for: submit, look, cancel. Their events are in `job-events.ts`. */
export function jobRoutes(app: App, deps: ServerDeps): void {
  app.post('/v1/jobs', { schema: { body: JobBody } }, async (request, reply) => {
    const spec = specOfJob(request.body.endpoint, request.body);
    const model = await findModel(deps, spec.model);
    checkAgainstModel(spec, model.card, deps.config.maxPromptBytes);

    const id = deps.randomId();
    const deadline = deps.clock() + (spec.timeoutMs ?? deps.config.maxQueueWaitMs);
    const { tenant } = request;
    for (const job of requestsOf(spec, { tenant, deadline, randomSeed: deps.randomSeed })) {
      await model.producer.submit(job, { id, priority: spec.priority });
    }
    // It is accepted: not being able to look at it now changes nothing of that.
    const view = await model.producer.view(id).catch(() => undefined);
    reply.code(202).headers({ location: `/v1/jobs/${id}`, 'x-shoal-job-id': id });
    return jobJson(view ?? { id, status: 'queued', queuedAt: deps.clock(), attempts: 0 }, model.card.name);
  });

  app.get('/v1/jobs/:id', { schema: { params: JobPath } }, async (request) => {
    const { view, model } = await findJob(deps.models, request.params.id, request.tenant);
    return jobJson(view, model.card.name);
  });

  app.delete('/v1/jobs/:id', { schema: { params: JobPath } }, async (request, reply) => {
    const { view, model } = await findJob(deps.models, request.params.id, request.tenant);
    const outcome = await model.producer.cancel(view.id);
    if (outcome === 'unknown') throw new ShoalError('job_not_found', 'this job is no longer kept');
    // The worker that runs it will stop at its next step.
    if (outcome === 'stopping') return reply.code(202).send(jobJson(view, model.card.name));
    const after: JobView | undefined = await model.producer.view(view.id);
    return jobJson(after ?? { ...view, status: outcome === 'cancelled' ? 'cancelled' : view.status }, model.card.name);
  });
}

function specOfJob(endpoint: JobEndpoint, body: unknown): GenerationSpec {
  const spec =
    endpoint === '/v1/completions'
      ? specOfCompletion(validate(CompletionBody, body))
      : specOfChat(validate(ChatBody, body));
  if (spec.inputs.length === 1) return spec;
  throw new ShoalError('invalid_request_error', 'prompt: a job takes one prompt; submit one job for each', {
    param: 'prompt',
  });
}
