import { ShoalError } from '@shoal/protocol';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ServerContext, ServerDeps } from '../deps.ts';
import type { ServedModel } from '../models.ts';
import type { Visit } from '../plugins/tenant-limits.ts';
import { deliverStream, deliverWhole } from './deliver.ts';
import { checkAgainstModel, type GenerationSpec } from './generation-spec.ts';
import { measureRequest, outcomeOf } from './measure.ts';
import type { RequestScope } from './request-scope.ts';
import { type ResponseMeta, type ResponseShape, systemFingerprint } from './response-shape.ts';
import { cancelQuietly, mayReuse, type SubmittedJob, submitAndListen } from './submission.ts';

/** The served model of that name; throws `model_not_found`. */
export async function findModel(deps: ServerDeps, name: string): Promise<ServedModel> {
  const model = await deps.models.find(name);
  if (model !== undefined) return model;
  throw new ShoalError('model_not_found', 'no worker serves this model; GET /v1/models lists those that are served', {
    param: 'model',
  });
}

/** One HTTP request of an endpoint that answers while the caller waits. */
export interface Call {
  request: FastifyRequest;
  reply: FastifyReply;
  endpoint: string;
}

/**
 * Answers a request whose caller waits: checks it against the model, queues its jobs, follows them, and words what comes
 * as a whole or as a stream. When the caller leaves, or anything fails, its jobs are cancelled, except those of a stream
 * that has begun and that only this server cannot go on with: the caller may follow them at another one.
 */
export async function serveGeneration(
  context: ServerContext,
  spec: GenerationSpec,
  shape: ResponseShape,
  call: Call,
): Promise<object | undefined> {
  const { request, reply } = call;
  const timeoutMs = spec.timeoutMs ?? context.config.requestTimeoutMs;
  const measure = measureRequest(context.metrics, context.clock, call.endpoint);
  const scope = context.scopes.open(reply.raw, { timeoutMs });
  let visit: Visit | undefined;
  let cancel = async (): Promise<void> => {};
  let over = false;
  try {
    visit = await context.limits.enter(request.tenant, timeoutMs);
    reply.headers(visit.headers);
    const model = await findModel(context, spec.model);
    measure.model = model.card.name;
    const { meta, jobs } = await accept(context, spec, model, { call, timeoutMs, scope });
    // Charged from here on, however soon its caller leaves.
    measure.tokens = jobs.reduce((sum, { promptTokens }) => sum + promptTokens, 0);
    const ids = jobs.map((job) => job.id);
    cancel = () => cancelQuietly(model, ids);
    reply.headers(jobHeaders(meta.id, ids));

    const inFlight = { spec, shape, meta, jobs, scope, measure };
    const answer = spec.stream ? await deliverStream(context, inFlight, reply) : await deliverWhole(inFlight);
    over = true;
    measure.done('completed');
    return answer;
  } catch (error) {
    const goesOn = reply.raw.headersSent && error instanceof ShoalError && error.code === 'unavailable';
    if (!goesOn) await cancel();
    measure.done(outcomeOf(error));
    if (reply.sent || reply.raw.headersSent) return undefined;
    throw error;
  } finally {
    visit?.leave(measure.tokens);
    scope.end(over);
  }
}

/** Proxies take 4 KiB of headers in all (nginx by default), and answer 502 to more. */
const LONGEST_JOB_IDS = 1024;

/** Which jobs a request became: their ids or, where those are too long, what they begin with and how many they are. */
function jobHeaders(id: string, ids: readonly string[]): Record<string, string> {
  const all = ids.join(',');
  if (all.length <= LONGEST_JOB_IDS) return { 'x-shoal-job-id': all };
  return { 'x-shoal-job-id': id, 'x-shoal-job-count': String(ids.length) };
}

/** Puts the request on the queue; from here on it survives this process. */
async function accept(
  context: ServerContext,
  spec: GenerationSpec,
  model: ServedModel,
  { call: { request }, timeoutMs, scope }: { call: Call; timeoutMs: number; scope: RequestScope },
): Promise<{ meta: ResponseMeta; jobs: SubmittedJob[] }> {
  const { card } = model;
  checkAgainstModel(spec, card, context.config.maxPromptBytes);
  const acceptedAt = context.clock();
  const id = context.randomId();
  const jobs = await submitAndListen(spec, model, {
    id,
    tenant: request.tenant,
    deadline: acceptedAt + timeoutMs,
    randomSeed: context.randomSeed,
    reuse: mayReuse(context.config, request.headers['cache-control']),
    scope,
  });
  // The prompt is Redis's to keep now: thousands of callers may wait, and each would hold a copy.
  spec.inputs = [];
  request.body = undefined;
  // Until a worker says which one it is, the one that announced the model last speaks for all.
  const fingerprint = systemFingerprint(card.fingerprint ?? `${card.revision}-${card.executionProvider}`);
  return { meta: { id, created: Math.floor(acceptedAt / 1000), model: card.name, fingerprint }, jobs };
}
