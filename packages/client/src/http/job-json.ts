import type { ChosenLogprob, ErrorBody, GenerateResult, RequestEvent } from '@shoal/protocol';
import { z } from 'zod';
import type { Job } from '../job.ts';
import { ErrorObject } from './http-error.ts';

// What the API answers about jobs, read into the forms that every transport shares.

const count = z.int().min(0);

const token = z.object({ token_id: count, text: z.string(), logprob: z.number() });
const tokenOf = ({ token_id, text, logprob }: z.infer<typeof token>) => ({ tokenId: token_id, text, logprob });

const logprobs: z.ZodType<ChosenLogprob[] | undefined, unknown> = z
  .array(token.extend({ top: z.array(token) }))
  .optional()
  .transform((list) => list?.map((chosen) => ({ ...tokenOf(chosen), top: chosen.top.map(tokenOf) })));

const choice = z
  .object({
    text: z.string(),
    token_ids: z.array(count),
    finish_reason: z.enum(['stop', 'length', 'abort']),
    logprobs,
  })
  .transform(({ text, token_ids, finish_reason, logprobs }) => ({
    text,
    tokenIds: token_ids,
    finishReason: finish_reason,
    ...(logprobs === undefined ? {} : { logprobs }),
  }));

const ride = z.object({
  worker: z.string(),
  batch: z.object({ id: count, size: z.int().min(1) }),
  seed: count,
  numerics: z.string().optional(),
  resumes: z.object({ count: z.int().min(1), label: z.enum(['identical', 'continued']) }).optional(),
  timings: z.object({
    queued_at: z.number(),
    claimed_at: z.number(),
    started_at: z.number(),
    first_token_at: z.number(),
    finished_at: z.number(),
  }),
});

const finished = {
  result: z.intersection(choice, z.object({ choices: z.array(choice).optional() })),
  usage: z.object({ prompt_tokens: count, completion_tokens: count }),
  shoal: ride,
};
const Finished = z.object(finished);

function resultOf({ result, usage, shoal }: z.infer<typeof Finished>): GenerateResult {
  const { timings } = shoal;
  return {
    v: 1,
    ...result,
    usage: { promptTokens: usage.prompt_tokens, completionTokens: usage.completion_tokens },
    seed: shoal.seed,
    timings: {
      queuedAt: timings.queued_at,
      claimedAt: timings.claimed_at,
      startedAt: timings.started_at,
      firstTokenAt: timings.first_token_at,
      finishedAt: timings.finished_at,
    },
    ride: { worker: shoal.worker, batchId: shoal.batch.id, batchSize: shoal.batch.size },
    ...(shoal.numerics === undefined ? {} : { numerics: shoal.numerics }),
    ...(shoal.resumes === undefined ? {} : { resumes: shoal.resumes }),
  };
}

const webhook = z
  .object({
    state: z.enum(['waiting', 'pending', 'delivered', 'failed']),
    attempts: count,
    last_error: z.string().optional(),
  })
  .transform(({ last_error, ...rest }) => ({
    ...rest,
    ...(last_error === undefined ? {} : { lastError: last_error }),
  }));

const jobJson = z.object({
  id: z.string(),
  model: z.string(),
  status: z.enum(['queued', 'running', 'completed', 'failed', 'cancelled', 'expired']),
  created_at: z.number(),
  finished_at: z.number().optional(),
  attempts: count,
  queue: z.object({ position: count.nullable(), estimated_wait_ms: count.nullable() }).optional(),
  result: z.unknown().optional(),
  usage: z.unknown().optional(),
  shoal: z.unknown().optional(),
  error: ErrorObject.optional(),
  webhook: webhook.optional(),
});

/** A job as `/v1/jobs` shows it. */
export const JobAnswer: z.ZodType<Job, unknown> = jobJson.transform((json) => ({
  id: json.id,
  model: json.model,
  status: json.status,
  queuedAt: json.created_at,
  attempts: json.attempts,
  ...(json.finished_at === undefined ? {} : { finishedAt: json.finished_at }),
  ...(typeof json.queue?.position === 'number' ? { position: json.queue.position } : {}),
  ...(typeof json.queue?.estimated_wait_ms === 'number' ? { estimatedWaitMs: json.queue.estimated_wait_ms } : {}),
  ...(json.result === undefined ? {} : { result: resultOf(Finished.parse(json)) }),
  ...(json.error === undefined ? {} : { error: json.error }),
  ...(json.webhook === undefined ? {} : { webhook: json.webhook }),
}));

const tokens = z
  .object({
    type: z.literal('tokens'),
    position: count,
    choice: count.optional(),
    token_ids: z.array(count),
    text: z.string(),
    logprobs,
  })
  .transform(({ token_ids, logprobs, choice, ...event }) => ({
    ...event,
    tokenIds: token_ids,
    ...(choice === undefined ? {} : { choice }),
    ...(logprobs === undefined ? {} : { logprobs }),
  }));
const completed = z
  .object({ type: z.literal('completed'), ...finished })
  .transform((json) => ({ type: 'completed' as const, result: resultOf(json) }));
const failed = z.object({ type: z.literal('failed'), error: ErrorObject });

/** One event of `/v1/jobs/:id/events`; an `error` without a type says why the stream itself broke off. */
export const EventJson: z.ZodType<RequestEvent | { type: 'broken'; error: ErrorBody }, unknown> = z.union([
  tokens,
  completed,
  failed,
  z.object({ error: ErrorObject }).transform(({ error }) => ({ type: 'broken' as const, error })),
]);
