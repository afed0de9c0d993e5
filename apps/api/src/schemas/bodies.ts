import { AskedAt, ChatTemplateKwargs, type JobStatus, WebhookUrl } from '@shoal/protocol';
import { z } from 'zod';
import { type Fault, faultAmong, firstFault } from './first-fault.ts';
import { type MessageField, MessagesField } from './messages.ts';
import { type GenerationOptions, generationOptions, maxTokensField } from './options.ts';
import { PromptField } from './prompt.ts';

const MAX_LOGPROBS = 20;
const LOGPROBS = `Tells this many of the likeliest tokens at each place, 0 … ${MAX_LOGPROBS}.`;

const ASKED_AT =
  'Unix time in milliseconds that the chat template takes for the present, in UTC. Default: when the job is added.';

const COMPLETION_EXAMPLE = { model: 'minnow', prompt: '47 + 38 =', temperature: 0, max_tokens: 16 };
const CHAT_EXAMPLE = { model: 'minnow', messages: [{ role: 'user', content: 'What is 47 + 38?' }], temperature: 0 };

/** Body of `POST /v1/completions`. Unknown fields are kept, so that unsupported ones can be refused by name. */
export interface CompletionBody extends GenerationOptions {
  prompt: string | string[] | number[] | number[][];
  echo?: boolean | null | undefined;
  best_of?: number | null | undefined;
  logprobs?: number | null | undefined;
}

export const CompletionBody: z.ZodType<CompletionBody, unknown> = z
  .looseObject(
    {
      ...generationOptions,
      prompt: PromptField,
      echo: z.boolean().nullish().describe('Repeats the prompt before the answer. Not with `logprobs`, nor in a job.'),
      best_of: z.int().min(1).nullish().describe('Only the same as `n`.'),
      logprobs: z.int().min(0).max(MAX_LOGPROBS).nullish().describe(LOGPROBS),
    },
    { error: 'the body must be a JSON object' },
  )
  .meta({ examples: [COMPLETION_EXAMPLE] });

/** Body of `POST /v1/chat/completions`. */
export interface ChatBody extends GenerationOptions {
  messages: MessageField[];
  asked_at?: number | null | undefined;
  chat_template_kwargs?: ChatTemplateKwargs | null | undefined;
  max_completion_tokens?: number | null | undefined;
  logprobs?: boolean | null | undefined;
  top_logprobs?: number | null | undefined;
}

export const ChatBody: z.ZodType<ChatBody, unknown> = z
  .looseObject(
    {
      ...generationOptions,
      messages: MessagesField,
      asked_at: AskedAt.nullish().describe(ASKED_AT),
      chat_template_kwargs: ChatTemplateKwargs.nullish().describe(
        'Variables for the model’s chat template, such as `enable_thinking`; those that it does not read change nothing.',
      ),
      max_completion_tokens: maxTokensField.describe('The same as `max_tokens`, which it overrides.'),
      logprobs: z.boolean().nullish().describe('Tells the log probability of each token.'),
      top_logprobs: z.int().min(0).max(MAX_LOGPROBS).nullish().describe(`${LOGPROBS} Needs \`logprobs\`.`),
    },
    { error: 'the body must be a JSON object' },
  )
  .meta({ examples: [CHAT_EXAMPLE] });

/** The endpoints whose requests can be submitted as jobs. */
export const JOB_ENDPOINTS = ['/v1/completions', '/v1/chat/completions'] as const;

export type JobEndpoint = (typeof JOB_ENDPOINTS)[number];

/** One job: the endpoint, and the body that it would take. */
export interface JobBody {
  endpoint: JobEndpoint;
  webhook_url?: string | null | undefined;
}

const jobBody = z.looseObject(
  {
    endpoint: z
      .enum(JOB_ENDPOINTS, { error: `must be ${JOB_ENDPOINTS.join(' or ')}` })
      .describe('Whose body the other fields are.'),
    webhook_url: WebhookUrl.nullish().describe(
      'Told of the end of the job, at least once and signed (Standard Webhooks). Such a job is always generated anew.',
    ),
  },
  { error: 'the body must be a JSON object, or an array of them' },
);

/** Most jobs of one submission. */
const MAX_JOBS = 1000;

const { $schema: _, ...JOB } = z.toJSONSchema(jobBody, { io: 'input' });

/** Body of `POST /v1/jobs`. */
export const JobsBody: z.ZodType<JobBody | JobBody[], unknown> = firstFault(faultInJobs, {
  anyOf: [JOB, { type: 'array', items: JOB, minItems: 1, maxItems: MAX_JOBS }],
  examples: [{ endpoint: '/v1/completions', ...COMPLETION_EXAMPLE }],
});

function faultInJobs(body: unknown): Fault | undefined {
  if (!Array.isArray(body)) return faultInJob(body);
  if (body.length >= 1 && body.length <= MAX_JOBS) return faultAmong(body, faultInJob);
  return { message: `the body must be a job, or an array of 1 to ${MAX_JOBS} jobs` };
}

/** zod may look at one job: it can have no more faults than a job has fields. */
function faultInJob(job: unknown): Fault | undefined {
  return jobBody.safeParse(job).error?.issues[0];
}

/** A job's id in a path. */
export const JobPath: z.ZodType<{ id: string }, unknown> = z.object({ id: z.string().max(128) });

/** Query of `GET /v1/jobs/:id`. */
export interface JobQuery {
  include?: 'request' | undefined;
}

export const JobQuery: z.ZodType<JobQuery, unknown> = z.object({
  include: z.enum(['request']).optional().describe('Also tells what the job was asked: prompt, options and seed.'),
});

const MOST_LISTED = 100;

/** Query of `GET /v1/jobs`. */
export interface JobsQuery {
  status?: JobStatus | undefined;
  limit: number;
  after?: string | undefined;
}

export const JobsQuery: z.ZodType<JobsQuery, unknown> = z.object({
  status: z.enum(['queued', 'running', 'completed', 'failed', 'cancelled', 'expired']).optional(),
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(MOST_LISTED)
    .default(20)
    .describe(`Jobs at most, 1 … ${MOST_LISTED}. Default 20.`),
  after: z.string().max(512).optional().describe('`after` of the page before.'),
});
