import { z } from 'zod';

/** What the clients read of Shoal's answers. */

const ErrorPart = z.object({ code: z.string().nullable(), message: z.string() });
export const ErrorBody = z.object({ error: ErrorPart });

/** A chunk of a stream of `/v1/completions` or `/v1/chat/completions`, or the error that ends it. */
export const Chunk = z.union([
  ErrorBody,
  z.object({
    choices: z.array(
      z.object({
        index: z.number(),
        text: z.string().optional(),
        delta: z.object({ content: z.string().nullish() }).optional(),
        finish_reason: z.string().nullish(),
      }),
    ),
  }),
]);

/** A whole answer of either. */
export const Whole = z.object({
  choices: z.array(
    z.object({
      index: z.number(),
      text: z.string().optional(),
      message: z.object({ content: z.string() }).optional(),
      finish_reason: z.string(),
    }),
  ),
});

const JobChoice = z.object({ text: z.string(), token_ids: z.array(z.number()), finish_reason: z.string() });
const JobResult = JobChoice.extend({ choices: z.array(JobChoice).optional() });
export type JobResult = z.infer<typeof JobResult>;

/** An event of `/v1/jobs/:id/events`. The last form is what a stream says when it cannot go on. */
export const JobEvent = z.union([
  z.object({
    type: z.literal('tokens'),
    position: z.number(),
    choice: z.number().optional(),
    token_ids: z.array(z.number()),
    text: z.string(),
  }),
  z.object({ type: z.literal('completed'), result: JobResult }),
  z.object({ type: z.literal('failed'), error: ErrorPart }),
  ErrorBody.extend({ type: z.undefined() }),
]);
export type JobEvent = z.infer<typeof JobEvent>;

export const Job = z.object({
  id: z.string(),
  status: z.enum(['queued', 'running', 'completed', 'failed', 'cancelled', 'expired']),
  /** Claims so far. */
  attempts: z.number(),
  /** By Redis's clock, in Unix milliseconds. */
  finished_at: z.number().optional(),
  result: JobResult.optional(),
  error: ErrorPart.optional(),
});
export type Job = z.infer<typeof Job>;

/** A page of `GET /v1/jobs`. */
export const JobPage = z.object({
  data: z.array(z.object({ id: z.string() })),
  after: z.string().nullable(),
});
export type JobPage = z.infer<typeof JobPage>;
