import { z } from 'zod';
import { ChatTemplateKwargs } from './chat-template-kwargs.ts';
import { SamplingParams } from './sampling-params.ts';

/** The version of {@link GenerateRequest} that this code writes and reads. */
export const REQUEST_VERSION = 1;

/** BullMQ job name of every request. */
export const JOB_NAME = 'generate';

export type ChatRole = 'system' | 'user' | 'assistant';

export interface ChatMessage {
  role: ChatRole;
  content: string;
}

/**
 * The payload of one job, as JSON on the queue: any BullMQ client in any language may write it. Exactly one of
 * `prompt`, `messages` and `promptTokenIds` is present.
 */
export interface GenerateRequest {
  v: 1;
  /** Raw text to continue. */
  prompt?: string | undefined;
  /** A conversation, rendered by the model's chat template; at most 1,000 messages. */
  messages?: ChatMessage[] | undefined;
  /**
   * Unix time in milliseconds that the chat template takes for the present, where it prints the date. Default: when the job
   * was added. A replay has the time of the job that it repeats, and with it the same prompt.
   */
  askedAt?: number | undefined;
  /** Goes with `messages`: variables for the chat template; those that it does not read change nothing. */
  chatTemplateKwargs?: ChatTemplateKwargs | undefined;
  /** Token ids to continue, at most 1,000,000 (the model's context bounds it further). */
  promptTokenIds?: number[] | undefined;
  /** The first tokens event tells the prompt's text too: see `TokensEvent.promptText`. Default false. */
  echo?: boolean | undefined;
  params: SamplingParams;
  /** Owner of the request, `[A-Za-z0-9_-]{1,64}`; results, cache and prefixes are never shared across tenants. */
  tenant?: string | undefined;
  /** Hash of what was submitted under an `Idempotency-Key`, so that the key cannot come to mean something else. */
  fingerprint?: string | undefined;
  /** Unix time in milliseconds after which the answer is worthless. */
  deadline?: number | undefined;
  /** Opaque id of the producer's reply channel or stream, `[A-Za-z0-9_-]{1,64}`; absent when nobody waits. */
  replyTo?: string | undefined;
  /**
   * Whoever waits reads nothing but the end: the tokens may be written rarely, until somebody joins who reads them. Default
   * false where there is a `replyTo`, else true.
   */
  quiet?: boolean | undefined;
}

/** `[A-Za-z0-9_-]{1,64}`: an id from which scripts build keys, so nothing else may pass. */
export const OpaqueId: z.ZodType<string> = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'must match [A-Za-z0-9_-]{1,64}');

const chatMessage = z.object({
  role: z.enum(['system', 'user', 'assistant']),
  content: z.string(),
});

/** The last time that a `Date` can hold. */
const LATEST_MS = 8_640_000_000_000_000;

/** {@link GenerateRequest.askedAt} */
export const AskedAt: z.ZodType<number, unknown> = z.int().min(0).max(LATEST_MS);

const generateRequest = z
  .strictObject({
    v: z.literal(REQUEST_VERSION),
    prompt: z.string().optional(),
    messages: z.array(chatMessage).min(1).max(1000).optional(),
    askedAt: AskedAt.optional(),
    chatTemplateKwargs: ChatTemplateKwargs.optional(),
    promptTokenIds: z.array(z.int().min(0)).min(1).max(1_000_000).optional(),
    echo: z.boolean().optional(),
    params: SamplingParams.prefault({}),
    tenant: OpaqueId.optional(),
    fingerprint: OpaqueId.optional(),
    deadline: z.int().min(0).optional(),
    replyTo: OpaqueId.optional(),
    quiet: z.boolean().optional(),
  })
  .refine(
    (request) =>
      [request.prompt, request.messages, request.promptTokenIds].filter((field) => field !== undefined).length === 1,
    { message: 'exactly one of prompt, messages and promptTokenIds must be given' },
  )
  .refine(({ messages, chatTemplateKwargs }) => messages !== undefined || chatTemplateKwargs === undefined, {
    message: 'chatTemplateKwargs goes with messages',
    path: ['chatTemplateKwargs'],
  });

export const GenerateRequest: z.ZodType<GenerateRequest, unknown> = generateRequest;
