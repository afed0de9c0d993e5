import { createHash } from 'node:crypto';
import { ShoalError } from '@shoal/protocol';
import type { Accepted, JobView } from '@shoal/queue';
import type { ServerDeps } from '../deps.ts';
import type { ServedModel } from '../models.ts';
import { ChatBody, CompletionBody, type JobBody } from '../schemas/bodies.ts';
import { validate } from '../schemas/validate.ts';
import {
  checkAgainstModel,
  expectedTokens,
  type GenerationSpec,
  specOfChat,
  specOfCompletion,
} from './generation-spec.ts';
import type { SubmissionMeasure } from './measure.ts';
import { findModel } from './serve.ts';
import { type Draft, draftsOf } from './submission.ts';

/** Jobs put on the queue at the same time. */
const AT_ONCE = 64;

/** One job that was accepted, as it is seen now. */
export interface AcceptedJob {
  view: JobView;
  model: string;
  /** It was submitted before, under the same idempotency key. */
  again: boolean;
  /** Tokens that it may use; none where it was submitted before. */
  tokens: number;
}

/** A job about to be submitted. */
interface JobDraft extends Draft {
  webhookUrl: string | undefined;
  id: string;
  model: ServedModel;
  priority: number;
  /** Tokens that it may use. */
  tokens: number;
}

/** Who submits, and on what terms. */
export interface JobCaller {
  tenant: string | undefined;
  /** The idempotency key, if there is one. */
  key: string | undefined;
  /** Whether equal requests may share one generation. */
  reuse: boolean;
  measure: Pick<SubmissionMeasure, 'model'>;
}

/** What one job is asked, and who is told of its end. */
export interface JobSpec extends GenerationSpec {
  webhookUrl?: string;
}

/** What a body of `/v1/jobs` asks; `index` is its place in an array of them. */
export function specOfJob(body: JobBody, index: number): JobSpec {
  const spec =
    body.endpoint === '/v1/completions'
      ? specOfCompletion(validate(CompletionBody, body))
      : specOfChat(validate(ChatBody, body));
  if (spec.echo !== undefined) {
    const message = 'echo: a job tells the answer alone; leave it out, its prompt can be asked for';
    throw new ShoalError('invalid_request_error', message, { param: 'echo' });
  }
  const url = body.webhook_url ?? undefined;
  if (spec.inputs.length === 1) return url === undefined ? spec : { ...spec, webhookUrl: url };
  const message = `prompt: job ${index} has several prompts; submit one job for each`;
  throw new ShoalError('invalid_request_error', message, { param: 'prompt' });
}

/** The key of a submission that may be repeated. Only one job can have one. */
export function idempotencyKey(header: string | string[] | undefined, jobs: number): string | undefined {
  if (header === undefined) return undefined;
  const problem =
    typeof header !== 'string' || !/^[\x20-\x7e]{1,255}$/.test(header)
      ? 'must be 1 to 255 printable ASCII characters'
      : jobs > 1
        ? 'goes with one job, not with an array of them'
        : undefined;
  if (problem === undefined && typeof header === 'string') return header;
  throw new ShoalError('invalid_request_error', `Idempotency-Key: ${problem}`, { param: 'Idempotency-Key' });
}

/**
 * Puts jobs on their models' queues, all or none. With an idempotency key, a job submitted before under the same key is
 * not submitted again; throws `idempotency_conflict` when it was another one.
 */
export async function submitJobs(
  deps: ServerDeps,
  specs: readonly JobSpec[],
  caller: JobCaller,
): Promise<AcceptedJob[]> {
  const drafts: JobDraft[] = [];
  for (const spec of specs) drafts.push(await draftOf(deps, spec, caller));
  const places = await submitAll(drafts);

  const [draft] = drafts;
  if (draft === undefined || drafts.length > 1 || caller.key === undefined) {
    return drafts.map((each, index) => {
      const { again = false, ...place } = places[index] ?? {};
      const view = { ...unseen(deps, each), ...place };
      return { view, model: each.model.card.name, again, tokens: again ? 0 : each.tokens };
    });
  }
  // It is accepted, or was before: not being able to look at it now changes nothing of that.
  const view = await draft.model.producer.view(draft.id).catch(() => undefined);
  if (view !== undefined && view.fingerprint !== draft.request.fingerprint) throw conflict();
  const again = places[0]?.again === true;
  const tokens = again ? 0 : draft.tokens;
  return [{ view: view ?? unseen(deps, draft), model: draft.model.card.name, again, tokens }];
}

/** The job that was submitted under the caller's key before, if there is one; throws when it was another one. */
export async function submittedBefore(
  deps: ServerDeps,
  spec: JobSpec,
  { tenant, key, measure }: JobCaller,
): Promise<AcceptedJob | undefined> {
  if (key === undefined) return undefined;
  const model = await findModel(deps, spec.model);
  measure.model = model.card.name;
  const view = await model.producer.view(idUnder(key, tenant));
  if (view === undefined) return undefined;
  if (view.fingerprint !== fingerprintOf(spec)) throw conflict();
  return { view, model: model.card.name, again: true, tokens: 0 };
}

async function draftOf(deps: ServerDeps, spec: JobSpec, caller: JobCaller): Promise<JobDraft> {
  const { tenant, key, reuse, measure } = caller;
  const { webhookUrl } = spec;
  if (webhookUrl !== undefined) checkWebhook(deps, webhookUrl);
  const model = await findModel(deps, spec.model);
  measure.model = model.card.name;
  checkAgainstModel(spec, model.card, deps.config.maxPromptBytes);
  const deadline = deps.clock() + (spec.timeoutMs ?? deps.config.maxQueueWaitMs);
  const { randomSeed } = deps;
  const [draft] = draftsOf(spec, model, {
    tenant,
    deadline,
    randomSeed,
    reuse: reuse && key === undefined && webhookUrl === undefined,
  });
  if (draft === undefined) throw new RangeError('a job has one input');
  const { priority } = spec;
  const tokens = expectedTokens(spec, model.card);
  if (key === undefined) return { id: deps.randomId(), model, priority, tokens, webhookUrl, ...draft };

  const id = idUnder(key, tenant);
  await refuseElsewhere(deps, id, model);
  const request = { fingerprint: fingerprintOf(spec), ...draft.request };
  return { id, model, priority, tokens, webhookUrl, ...draft, request };
}

/** Refuses what could never be told. */
function checkWebhook({ config }: ServerDeps, url: string): void {
  const problem =
    config.webhookSecret.length === 0
      ? 'this server signs no webhooks; set WEBHOOK_SECRET'
      : !config.webhookAllowPrivate && !url.startsWith('https:')
        ? 'must be an https URL'
        : undefined;
  if (problem === undefined) return;
  throw new ShoalError('invalid_request_error', `webhook_url: ${problem}`, { param: 'webhook_url' });
}

/** A key that was used for another model's queue cannot be seen by this one's. */
async function refuseElsewhere(deps: ServerDeps, id: string, model: ServedModel): Promise<void> {
  const others = (await deps.models.list()).filter(({ card }) => card.name !== model.card.name);
  const views = await Promise.all(others.map(({ producer }) => producer.view(id)));
  if (views.some((view) => view !== undefined)) throw conflict();
}

/** Where each of them stands now. */
async function submitAll(drafts: readonly JobDraft[]): Promise<Accepted[]> {
  const places: Accepted[] = [];
  for (let from = 0; from < drafts.length; from += AT_ONCE) {
    const group = drafts.slice(from, from + AT_ONCE);
    const submitted = await Promise.allSettled(
      group.map(({ id, model, request, priority, sharingKey, webhookUrl }) =>
        model.producer.submit(request, {
          ...{ id, priority, listed: true, checked: true },
          ...(sharingKey === undefined ? {} : { sharingKey }),
          ...(webhookUrl === undefined ? {} : { webhookUrl }),
        }),
      ),
    );
    const refusal = submitted.find((outcome) => outcome.status === 'rejected');
    for (const outcome of submitted) if (outcome.status === 'fulfilled') places.push(outcome.value);
    if (refusal === undefined) continue;
    // A job under a key may be an earlier submission's: it stays.
    const ours = drafts.slice(0, from + AT_ONCE).filter(({ request }) => request.fingerprint === undefined);
    // Best effort, as any cancel: what an unreachable Redis keeps ends at its deadline.
    await Promise.allSettled(ours.map(({ id, model, request }) => model.producer.withdraw(id, request.tenant)));
    throw refusal.reason;
  }
  return places;
}

function unseen(deps: ServerDeps, { id }: JobDraft): JobView {
  return { id, status: 'queued', queuedAt: deps.clock(), attempts: 0 };
}

function conflict(): ShoalError {
  const message = 'this Idempotency-Key was used for another request; use a new key, or send the same request';
  return new ShoalError('idempotency_conflict', message, { param: 'Idempotency-Key' });
}

function idUnder(key: string, tenant: string | undefined): string {
  return `k-${hash(JSON.stringify([tenant ?? null, key]))}`;
}

function fingerprintOf(spec: JobSpec): string {
  return hash(JSON.stringify(spec));
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
