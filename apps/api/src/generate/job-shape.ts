import type { GenerateResult, RequestEvent } from '@shoal/protocol';
import { ShoalError } from '@shoal/protocol';
import type { JobView } from '@shoal/queue';
import { errorJson } from '../plugins/errors.ts';
import { rideOf, usageOf } from './response-shape.ts';

/** A job as `/v1/jobs` shows it. Times are Unix milliseconds. */
export function jobJson(view: JobView, model: string): object {
  return {
    id: view.id,
    object: 'job',
    model,
    status: view.status,
    created_at: view.queuedAt,
    ...(view.finishedAt === undefined ? {} : { finished_at: view.finishedAt }),
    attempts: view.attempts,
    ...(view.status === 'queued' ? { queue: { position: view.position ?? null } } : {}),
    ...(view.result === undefined ? {} : resultJson(view.id, view.result)),
    ...(view.error === undefined ? {} : errorJson(ShoalError.fromBody(view.error))),
  };
}

/** One event of a job's stream. */
export function eventJson(id: string, event: RequestEvent): object {
  switch (event.type) {
    case 'tokens':
      return { type: 'tokens', position: event.position, token_ids: event.tokenIds, text: event.text };
    case 'completed':
      return { type: 'completed', ...resultJson(id, event.result) };
    case 'failed':
      return { type: 'failed', ...errorJson(ShoalError.fromBody(event.error)) };
  }
}

function resultJson(id: string, result: GenerateResult): object {
  return {
    result: { text: result.text, token_ids: result.tokenIds, finish_reason: result.finishReason },
    usage: usageOf([{ index: 0, jobId: id, result }]),
    shoal: rideOf(id, result),
  };
}
