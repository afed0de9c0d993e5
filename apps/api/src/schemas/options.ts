import { DEFAULT_PRIORITY, LOWEST_PRIORITY, type SamplingParams } from '@shoal/protocol';
import { z } from 'zod';
import { isWellFormed, WELL_FORMED } from './well-formed.ts';

const MAX_STOPS = 4;

/** Left out, or null as some clients send it. */
type Optional<T> = z.ZodType<T | null | undefined, unknown>;

/** The options that both endpoints share, by the names that callers use; see {@link generationOptions}. */
export interface GenerationOptions {
  model: string;
  max_tokens?: number | null | undefined;
  temperature?: number | null | undefined;
  top_p?: number | null | undefined;
  top_k?: number | null | undefined;
  seed?: number | null | undefined;
  stop?: string | string[] | null | undefined;
  stream?: boolean | null | undefined;
  stream_options?: { include_usage?: boolean | null | undefined } | null | undefined;
  user?: string | null | undefined;
  priority?: number | null | undefined;
  timeout_ms?: number | null | undefined;
}

type OptionSchemas = {
  [Name in keyof Required<GenerationOptions>]: z.ZodType<GenerationOptions[Name], unknown>;
};

export const maxTokensField: Optional<number> = z
  .int()
  .min(1)
  .max(1_000_000)
  .nullish()
  .describe('Most tokens to generate; up to the context length if left out.');

const stopText = z.string().min(1).max(128).refine(isWellFormed, { error: WELL_FORMED });

/** `null` counts as left out, as at OpenAI. Ranges and meaning are those of `SamplingParams`. */
export const generationOptions: OptionSchemas = {
  model: z.string().min(1).max(256).describe('A served model: see /v1/models.'),
  max_tokens: maxTokensField,
  temperature: z.number().min(0).max(2).nullish().describe('0 is greedy. Default 1.'),
  top_p: z.number().gt(0).max(1).nullish().describe('Nucleus mass. Default 1 (off).'),
  top_k: z.int().min(-1).max(1_000_000).nullish().describe('Candidates kept; 0 or -1 is off, which is the default.'),
  seed: z
    .int()
    .min(0)
    .nullish()
    .describe('The same seed gives the same answer. If left out, a random one is chosen and returned.'),
  stop: z
    .union([stopText, z.array(stopText).max(MAX_STOPS)], {
      error: `must be a string or up to ${MAX_STOPS} strings of 1 to 128 characters`,
    })
    .nullish()
    .describe('Text at which generation ends; not part of the answer.'),
  stream: z.boolean().nullish().describe('Answer as server-sent events.'),
  stream_options: z
    .object({ include_usage: z.boolean().nullish() })
    .nullish()
    .describe('`include_usage` adds a last chunk with the token counts of a stream.'),
  user: z.string().max(512).nullish().describe('Accepted and ignored.'),
  priority: z.int().min(0).max(LOWEST_PRIORITY).nullish().describe('0 is served first, 9 last. Default 5.'),
  timeout_ms: z
    .int()
    .min(1)
    .max(86_400_000)
    .nullish()
    .describe('Milliseconds from acceptance after which the answer is worthless.'),
};

/** How a request is to be served, apart from what it says. */
export interface Service {
  params: SamplingParams;
  /** 0 first … 9 last. */
  priority: number;
  timeoutMs: number | undefined;
  stream: boolean;
  includeUsage: boolean;
}

/** The inside form of the options. `maxTokens` is an alias that chat clients use; it wins. */
export function serviceOf(options: GenerationOptions, maxCompletionTokens?: number | null): Service {
  const maxTokens = maxCompletionTokens ?? options.max_tokens ?? undefined;
  const stops = options.stop ?? [];
  return {
    params: {
      maxTokens,
      temperature: options.temperature ?? 1,
      topP: options.top_p ?? 1,
      topK: Math.max(0, options.top_k ?? 0),
      seed: options.seed ?? undefined,
      stop: typeof stops === 'string' ? [stops] : stops,
    },
    priority: options.priority ?? DEFAULT_PRIORITY,
    timeoutMs: options.timeout_ms ?? undefined,
    stream: options.stream ?? false,
    includeUsage: options.stream_options?.include_usage ?? false,
  };
}
