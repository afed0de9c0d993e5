import {
  type ChosenLogprob,
  type GenerateResult,
  type RequestEvent,
  ShoalError,
  type TokenLogprob,
} from '@shoal/protocol';
import type { JobView, WebhookView } from '@shoal/queue';
import { errorJson } from '../plugins/errors.ts';
import { type Choice, choicesOf, rideOf, usageOf } from './response-shape.ts';

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
    ...(view.status === 'queued'
      ? { queue: { position: view.position ?? null, estimated_wait_ms: view.estimatedWaitMs ?? null } }
      : {}),
    ...(view.result === undefined ? {} : resultJson(view.id, view.result)),
    ...(view.error === undefined ? {} : errorJson(ShoalError.fromBody(view.error))),
    ...(view.webhook === undefined ? {} : { webhook: webhookJson(view.webhook) }),
  };
}

function webhookJson({ state, attempts, lastError }: WebhookView): object {
  return { state, attempts, ...(lastError === undefined ? {} : { last_error: lastError }) };
}

/** One event of a job's stream. */
export function eventJson(id: string, event: RequestEvent): object {
  switch (event.type) {
    case 'tokens':
      return {
        type: 'tokens',
        position: event.position,
        ...(event.choice === undefined ? {} : { choice: event.choice }),
        token_ids: event.tokenIds,
        text: event.text,
        ...(event.logprobs === undefined ? {} : { logprobs: event.logprobs.map(logprobJson) }),
      };
    case 'completed':
      return { type: 'completed', ...resultJson(id, event.result) };
    case 'failed':
      return { type: 'failed', ...errorJson(ShoalError.fromBody(event.error)) };
  }
}

function resultJson(jobId: string, result: GenerateResult): object {
  const answer = { jobId, first: 0, echo: '', result };
  const [first, ...others] = choicesOf(answer).map(choiceJson);
  return {
    result: { ...first, ...(others.length === 0 ? {} : { choices: [first, ...others] }) },
    usage: usageOf([answer]),
    shoal: rideOf(answer),
  };
}

function choiceJson({ text, tokenIds, finishReason, logprobs }: Choice): object {
  return {
    text,
    token_ids: tokenIds,
    finish_reason: finishReason,
    ...(logprobs === undefined ? {} : { logprobs: logprobs.map(logprobJson) }),
  };
}

function logprobJson(chosen: ChosenLogprob): object {
  return { ...tokenJson(chosen), top: chosen.top.map(tokenJson) };
}

function tokenJson({ tokenId, text, logprob }: TokenLogprob): object {
  return { token_id: tokenId, text, logprob };
}
