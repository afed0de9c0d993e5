import { ShoalError, type TokensEvent } from '@shoal/protocol';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ServerContext, ServerDeps } from '../deps.ts';
import type { ServedModel } from '../models.ts';
import { errorJson } from '../plugins/errors.ts';
import { followJob } from './answer.ts';
import { ChoiceWriter } from './choice-writer.ts';
import { EventStream, streamOptions } from './event-stream.ts';
import { checkAgainstModel, type GenerationSpec } from './generation-spec.ts';
import { measureRequest, type RequestMeasure } from './measure.ts';
import { openScope, type RequestScope } from './request-scope.ts';
import { type Answer, choicesOf, type ResponseMeta, type ResponseShape } from './response-shape.ts';
import { cancelQuietly, type SubmittedJob, submitAndListen } from './submission.ts';

/** One request on its way: what its jobs are, and what is known of it so far. */
interface InFlight {
  readonly spec: GenerationSpec;
  readonly shape: ResponseShape;
  readonly meta: ResponseMeta;
  readonly jobs: readonly SubmittedJob[];
  readonly scope: RequestScope;
  readonly measure: RequestMeasure;
}

/** The served model of that name; throws `model_not_found`. */
export async function findModel(deps: ServerDeps, name: string): Promise<ServedModel> {
  const model = await deps.models.find(name);
  if (model !== undefined) return model;
  throw new ShoalError('model_not_found', 'no worker serves this model; GET /v1/models lists those that are served', {
    param: 'model',
  });
}

/**
 * Answers a request whose caller waits: checks it against the model, queues its jobs, follows them, and words what comes
 * as a whole or as a stream. When the caller leaves, or anything fails, its jobs are cancelled.
 */
export async function serveGeneration(
  context: ServerContext,
  spec: GenerationSpec,
  shape: ResponseShape,
  http: { request: FastifyRequest; reply: FastifyReply; endpoint: string },
): Promise<object | undefined> {
  const { request, reply } = http;
  const { config } = context;
  const visit = context.limits.enter(request.tenant);
  reply.headers(visit.headers);
  const measure = measureRequest(context.metrics, context.clock, http.endpoint);
  const timeoutMs = spec.timeoutMs ?? config.requestTimeoutMs;
  const scope = openScope(reply.raw, { timeoutMs, shutdown: context.shutdown });
  let cancel = async (): Promise<void> => {};
  try {
    const model = await findModel(context, spec.model);
    measure.model = model.card.name;
    checkAgainstModel(spec, model.card, config.maxPromptBytes);

    const acceptedAt = context.clock();
    const id = context.randomId();
    const { tenant } = request;
    const submission = { id, tenant, deadline: acceptedAt + timeoutMs, randomSeed: context.randomSeed };
    const jobs = await submitAndListen(spec, model, { ...submission, signal: scope.signal });
    cancel = () =>
      cancelQuietly(
        model,
        jobs.map((job) => job.id),
      );

    // From here on the prompt is Redis's to keep: thousands of callers may wait, and each would hold a copy.
    spec.inputs = [];
    request.body = undefined;

    reply.header('x-shoal-job-id', jobs.map((job) => job.id).join(','));
    const fingerprint = `${model.card.revision}-${model.card.executionProvider}`;
    const meta = { id, created: Math.floor(acceptedAt / 1000), model: model.card.name, fingerprint };
    const inFlight = { spec, shape, meta, jobs, scope, measure };
    const answer = spec.stream ? await stream(context, inFlight, reply) : await whole(inFlight);
    measure.done('completed');
    return answer;
  } catch (error) {
    await cancel();
    measure.done(error instanceof ShoalError ? error.code : 'inference_error');
    if (reply.sent || reply.raw.headersSent) return undefined;
    throw error;
  } finally {
    visit.leave(measure.tokens);
    scope.end();
  }
}

async function whole(inFlight: InFlight): Promise<object> {
  const answers = await followAll(inFlight, () => {});
  return inFlight.shape.whole(inFlight.meta, answers);
}

async function stream(deps: ServerDeps, inFlight: InFlight, reply: FastifyReply): Promise<undefined> {
  const { shape, meta, spec } = inFlight;
  const events = new EventStream(reply, streamOptions(deps));
  // With include_usage, OpenAI's chunks all carry `usage`; it is null in all but the last.
  const send = (chunk: object): Promise<void> =>
    events.send(JSON.stringify(spec.includeUsage && !('usage' in chunk) ? { ...chunk, usage: null } : chunk));
  const perJob = spec.params.n ?? 1;
  const writers = Array.from({ length: inFlight.jobs.length * perJob }, (_, index) => {
    const echo = spec.echo?.[Math.floor(index / perJob)] ?? '';
    return new ChoiceWriter({ shape, meta, index, echo, send });
  });
  try {
    const answers = await followAll(
      inFlight,
      (first, event) => writers[first + (event.choice ?? 0)]?.write(event.text, event.logprobs),
      async (answer) => {
        for (const choice of choicesOf(answer)) await writers[choice.index]?.finish(choice);
      },
    );
    if (spec.includeUsage) await send(shape.usage(meta, answers));
    await events.send('[DONE]');
  } catch (error) {
    if (events.opened) await events.send(JSON.stringify(errorJson(error))).catch(() => {});
    throw error;
  } finally {
    events.end();
  }
}

/** Follows all jobs at once; the first failure stops the others. `first` is the index of a job's first choice. */
async function followAll(
  { spec, jobs, scope, measure }: InFlight,
  onTokens: (first: number, event: TokensEvent) => void | Promise<void>,
  onAnswer: (answer: Answer) => void | Promise<void> = () => {},
): Promise<Answer[]> {
  const follow = async (job: SubmittedJob): Promise<Answer> => {
    const first = job.index * (spec.params.n ?? 1);
    const result = await followJob(job, scope.signal, (event) => {
      measure.firstToken();
      return onTokens(first, event);
    });
    measure.result(result);
    const answer = { jobId: job.id, first, echo: spec.echo?.[job.index] ?? '', result };
    await onAnswer(answer);
    return answer;
  };
  try {
    return await Promise.all(jobs.map(follow));
  } catch (error) {
    scope.abort(new ShoalError('cancelled', 'another part of the request failed'));
    throw error;
  }
}
