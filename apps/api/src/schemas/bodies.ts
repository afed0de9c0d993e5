import { z } from 'zod';
import { type MessageField, MessagesField } from './messages.ts';
import { type GenerationOptions, generationOptions, maxTokensField } from './options.ts';
import { PromptField } from './prompt.ts';

/** Body of `POST /v1/completions`. Unknown fields are kept, so that unsupported ones can be refused by name. */
export interface CompletionBody extends GenerationOptions {
  prompt: string | string[] | number[] | number[][];
}

export const CompletionBody: z.ZodType<CompletionBody, unknown> = z.looseObject(
  { ...generationOptions, prompt: PromptField },
  { error: 'the body must be a JSON object' },
);

/** Body of `POST /v1/chat/completions`. */
export interface ChatBody extends GenerationOptions {
  messages: MessageField[];
  max_completion_tokens?: number | null | undefined;
}

export const ChatBody: z.ZodType<ChatBody, unknown> = z.looseObject(
  {
    ...generationOptions,
    messages: MessagesField,
    max_completion_tokens: maxTokensField.describe('The same as `max_tokens`, which it overrides.'),
  },
  { error: 'the body must be a JSON object' },
);

/** The endpoints whose requests can be submitted as jobs. */
export const JOB_ENDPOINTS = ['/v1/completions', '/v1/chat/completions'] as const;

export type JobEndpoint = (typeof JOB_ENDPOINTS)[number];

/** Body of `POST /v1/jobs`: the endpoint, and the body that it would take. */
export const JobBody: z.ZodType<{ endpoint: JobEndpoint }, unknown> = z.looseObject(
  {
    endpoint: z
      .enum(JOB_ENDPOINTS, { error: `must be ${JOB_ENDPOINTS.join(' or ')}` })
      .describe('Whose body the other fields are.'),
  },
  { error: 'the body must be a JSON object' },
);

/** A job's id in a path. */
export const JobPath: z.ZodType<{ id: string }, unknown> = z.object({ id: z.string().max(128) });
