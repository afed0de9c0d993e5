import { type GenerateRequest, REQUEST_VERSION, type RequestEvent } from '@shoal/protocol';
import type { ServedModel } from '../models.ts';
import type { GenerationSpec } from './generation-spec.ts';

/** One job of a request that was accepted. */
export interface SubmittedJob {
  readonly id: string;
  /** Index of its input. */
  readonly index: number;
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
  /** Closes the ears when aborted. */
  signal: AbortSignal;
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
  const ids = spec.inputs.map((_, index) => (spec.inputs.length === 1 ? options.id : `${options.id}-${index}`));
  const requests = requestsOf(spec, options);
  // The ear opens before the job exists, so that no event can come too early.
  const jobs = ids.map((id, index) => ({ id, index, events: model.replies.listen(id, options.signal) }));

  const submitted = await Promise.allSettled(
    ids.map((id, index) =>
      model.producer.submit(at(requests, index, model.replies.replyTo), { id, priority: spec.priority }),
    ),
  );
  const refusal = submitted.find((outcome) => outcome.status === 'rejected');
  if (refusal === undefined) return jobs;
  await cancelQuietly(model, ids);
  throw refusal.reason;
}

/** The payloads of a request's jobs, each with a seed. */
export function requestsOf(
  spec: GenerationSpec,
  options: Pick<SubmissionOptions, 'tenant' | 'deadline' | 'randomSeed'>,
): GenerateRequest[] {
  const seed = spec.params.seed ?? options.randomSeed();
  return spec.inputs.map((input) => ({
    v: REQUEST_VERSION,
    ...input,
    params: { ...spec.params, seed },
    ...(options.tenant === undefined ? {} : { tenant: options.tenant }),
    deadline: options.deadline,
  }));
}

/**
 * Cancels jobs whose caller is gone. Best effort: a job that outlives an unreachable Redis ends at its deadline, and
 * nobody is left to tell.
 */
export async function cancelQuietly(model: ServedModel, ids: readonly string[]): Promise<void> {
  await Promise.allSettled(ids.map((id) => model.producer.cancel(id)));
}

function at(requests: readonly GenerateRequest[], index: number, replyTo: string): GenerateRequest {
  const request = requests[index];
  if (request === undefined) throw new RangeError(`no request ${index}`);
  return { ...request, replyTo };
}
