import { ERROR_CODES } from '@shoal/protocol';
import { z } from 'zod';

// What the endpoints answer, for /docs. A test holds real answers against these.

const count = z.int().min(0);
const unixMs = z.number().describe('Unix time in milliseconds');

const ride = z
  .strictObject({
    job_id: z.string(),
    worker: z.string(),
    batch: z.strictObject({ id: count, size: count }),
    numerics: z.string().optional().describe('Fingerprint of what computed it: equal ones give equal answers.'),
    resumes: z
      .strictObject({ count, label: z.enum(['identical', 'continued']) })
      .optional()
      .describe(
        'How often another worker went on with it: `identical`, byte for byte what one worker would have answered; or `continued`.',
      ),
    seed: count.describe('Send it again to have the same answer again.'),
    timings: z.strictObject({
      queued_at: unixMs,
      claimed_at: unixMs,
      started_at: unixMs,
      first_token_at: unixMs,
      finished_at: unixMs,
    }),
  })
  .describe('Which job it was, and in what company it ran.');

const usage = z.strictObject({ prompt_tokens: count, completion_tokens: count, total_tokens: count });
const finishReason = z.enum(['stop', 'length', 'abort']);

const head = { created: count, model: z.string(), system_fingerprint: z.string(), usage, shoal: ride.optional() };

export const CompletionResponse: z.ZodType = z.strictObject({
  id: z.string(),
  object: z.literal('text_completion'),
  ...head,
  choices: z.array(
    z.strictObject({
      index: count,
      text: z.string(),
      finish_reason: finishReason,
      logprobs: z
        .strictObject({
          tokens: z.array(z.string()),
          token_logprobs: z.array(z.number()),
          top_logprobs: z.array(z.record(z.string(), z.number())),
          text_offset: z.array(count),
        })
        .nullable(),
      shoal: ride.optional(),
    }),
  ),
});

const token = { token: z.string(), logprob: z.number(), bytes: z.array(count).nullable() };

export const ChatResponse: z.ZodType = z.strictObject({
  id: z.string(),
  object: z.literal('chat.completion'),
  ...head,
  choices: z.array(
    z.strictObject({
      index: count,
      message: z.strictObject({ role: z.literal('assistant'), content: z.string(), refusal: z.null() }),
      finish_reason: finishReason,
      logprobs: z
        .strictObject({
          content: z.array(z.strictObject({ ...token, top_logprobs: z.array(z.strictObject(token)) })),
          refusal: z.null(),
        })
        .nullable(),
      shoal: ride.optional(),
    }),
  ),
});

const errorObject = z.strictObject({
  message: z.string().describe('What was wrong, and what to do about it.'),
  type: z.string(),
  param: z.string().nullable().describe('The field at fault, if one is.'),
  code: z.enum(ERROR_CODES as [string, ...string[]]).nullable(),
});

export const ErrorResponse: z.ZodType = z.strictObject({ error: errorObject });

const tokenLogprob = { token_id: count, text: z.string(), logprob: z.number() };

const jobChoice = z.strictObject({
  text: z.string(),
  token_ids: z.array(count),
  finish_reason: finishReason,
  logprobs: z.array(z.strictObject({ ...tokenLogprob, top: z.array(z.strictObject(tokenLogprob)) })).optional(),
});

export const JobResponse: z.ZodType = z.strictObject({
  id: z.string(),
  object: z.literal('job'),
  model: z.string(),
  status: z.enum(['queued', 'running', 'completed', 'failed', 'cancelled', 'expired']),
  created_at: unixMs,
  finished_at: unixMs.optional(),
  attempts: count.describe('How often a worker has taken it.'),
  queue: z
    .strictObject({
      position: count.nullable().describe('Jobs ahead of it; null if unknown.'),
      estimated_wait_ms: count
        .nullable()
        .describe('Until its turn, at the rate of the last half minute; null if nothing drained.'),
    })
    .optional(),
  result: jobChoice.extend({ choices: z.array(jobChoice).optional() }).optional(),
  usage: usage.optional(),
  shoal: ride.optional(),
  error: errorObject.optional(),
  webhook: z
    .strictObject({
      state: z.enum(['waiting', 'pending', 'delivered', 'failed']),
      attempts: count,
      last_error: z.string().optional().describe('Why the last attempt failed.'),
    })
    .optional()
    .describe('How far its webhook has come; `failed`: given up.'),
  request: z
    .looseObject({ endpoint: z.string(), model: z.string() })
    .optional()
    .describe('With `include=request`: the body of a submission that asks the same again.'),
});

export const JobListResponse: z.ZodType = z.strictObject({ object: z.literal('list'), data: z.array(JobResponse) });

export const JobPageResponse: z.ZodType = z.strictObject({
  object: z.literal('list'),
  data: z.array(JobResponse).describe('Newest first, without their results.'),
  has_more: z.boolean(),
  after: z.string().nullable().describe('Where the next page begins; null when this is the last.'),
});

const model = z.strictObject({
  id: z.string(),
  object: z.literal('model'),
  created: count,
  owned_by: z.string(),
  max_model_len: count.describe('Most tokens of prompt and answer together.'),
  shoal: z.strictObject({
    chat: z.boolean().describe('False: only /v1/completions.'),
    workers: count.describe('Workers heard of lately; 0: requests wait for one.'),
    revision: z.string(),
    dtype: z.string(),
    execution_provider: z.string(),
  }),
});

export const ModelResponse: z.ZodType = model;
export const ModelListResponse: z.ZodType = z.strictObject({ object: z.literal('list'), data: z.array(model) });
