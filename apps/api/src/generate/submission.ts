import type { ApiConfig } from '@shoal/config';
import { type GenerateRequest, REQUEST_VERSION, type RequestEvent } from '@shoal/protocol';
import { sharingKey } from '@shoal/queue';
import type { ServedModel } from '../models.ts';
import { type GenerationSpec, promptTokensOf } from './generation-spec.ts';
import type { RequestScope } from './request-scope.ts';

/** One job of a request that was accepted. */
export interface SubmittedJob {
  readonly id: string;
  /** Index of its input. */
  readonly index: number;
  /** Tokens of its prompt; of text an estimate. */
  readonly promptTokens: number;
  /** What its worker tells, to the terminal event. */
  readonly events: AsyncIterable<RequestEvent>;
}

export interface SubmissionOptions {
  /** Id of the request; its jobs are `id`, or `id-0`, `id-1`, … when there are several. */
  id: string;
  tenant: string | undefined;
  /** Unix time in milliseconds. */
  deadline: number;
  randomSeed: () => number;
  /** Whether equal requests may share one generation. */
  reuse: boolean;
  /** Closes the ears when aborted. */
  scope: RequestScope;
}

/** One payload, and under which key others may share its generation. */
export interface Draft {
  request: GenerateRequest;
  promptTokens: number;
  sharingKey: string | undefined;
}

/**
 * Puts every input of the request on the model's queue, all or none: when one is refused, those before it are
 * cancelled and the refusal is thrown.
 */
export async function submitAndListen(
  spec: GenerationSpec,
  model: ServedModel,
  options: SubmissionOptions,
): Promise<SubmittedJob[]> {
  const drafts = draftsOf(spec, model, options);
  const ids = drafts.map((_, index) => (drafts.length === 1 ? options.id : `${options.id}-${index}`));
  const submissions = drafts.map((draft, index) =>
    submitOne(draft, model, { id: ids[index] ?? '', index, scope: options.scope }, spec),
  );
  try {
    return await Promise.all(submissions);
  } catch (refusal) {
    // What is on its way cannot be cancelled before it has arrived.
    await Promise.allSettled(submissions);
    await cancelQuietly(model, ids);
    throw refusal;
  }
}

async function submitOne(
  { request, promptTokens, sharingKey }: Draft,
  { producer, replies }: ServedModel,
  { id, index, scope }: { id: string; index: number; scope: RequestScope },
  { priority, stream }: Pick<GenerationSpec, 'priority' | 'stream'>,
): Promise<SubmittedJob> {
  const asked = { ...request, quiet: !stream };
  if (sharingKey !== undefined) {
    // The generation may have begun long ago: it is read from its log.
    await producer.submit(asked, { id, priority, sharingKey, checked: true });
    const events = replies.attach(id);
    scope.onAbort(() => events.close());
    return { id, index, promptTokens, events };
  }
  // The ear opens before the job exists, so that no event can come too early.
  const events = replies.listen(id);
  scope.onAbort(() => events.close());
  await producer.submit({ replyTo: replies.replyTo, ...asked }, { id, priority, checked: true });
  return { id, index, promptTokens, events };
}

/** The payloads of a request's jobs, each with a seed. */
export function draftsOf(
  spec: GenerationSpec,
  { card }: Pick<ServedModel, 'card'>,
  options: Pick<SubmissionOptions, 'tenant' | 'deadline' | 'randomSeed' | 'reuse'>,
): Draft[] {
  const { tenant, deadline } = options;
  const seed = spec.params.seed ?? options.randomSeed();
  return spec.inputs.map((input) => {
    const asked = {
      v: REQUEST_VERSION,
      ...input,
      params: spec.params,
      deadline,
      ...(tenant === undefined ? {} : { tenant }),
    } as const;
    return {
      request: { ...asked, params: { ...spec.params, seed } },
      promptTokens: promptTokensOf(input),
      // Asked before the request gets a seed by chance: only its own seed, or none needed, makes it shareable.
      sharingKey: options.reuse ? sharingKey(asked, card.revision) : undefined,
    };
  });
}

/**
 * Cancels jobs whose caller is gone. Best effort: a job that outlives an unreachable Redis ends at its deadline, and
 * nobody is left to tell.
 */
export async function cancelQuietly(model: ServedModel, ids: readonly string[]): Promise<void> {
  await Promise.allSettled(ids.map((id) => model.producer.cancel(id)));
}

/** Whether the answers to this caller may come from a generation that others share. */
export function mayReuse(config: Pick<ApiConfig, 'reuseAnswers'>, cacheControl: string | undefined): boolean {
  return config.reuseAnswers && !/\bno-store\b/i.test(cacheControl ?? '');
}
