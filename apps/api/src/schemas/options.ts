import { LOWEST_PRIORITY } from '@shoal/protocol';
import { z } from 'zod';
import { type Fault, faultAmong, firstFault, within } from './first-fault.ts';
import { isWellFormed, WELL_FORMED } from './well-formed.ts';

const MAX_STOPS = 4;
const MAX_STOP_LENGTH = 128;
const MAX_STOP_TOKENS = 64;
const MAX_BIASES = 1024;
const MAX_BIAS = 100;
const MAX_ANSWERS = 16;
const TOKEN_ID = /^\d{1,7}$/;

/** Left out, or null as some clients send it. */
type Optional<T> = z.ZodType<T | null | undefined, unknown>;

/** The options that both endpoints share, by the names that callers use; see {@link generationOptions}. */
export interface GenerationOptions {
  model: string;
  max_tokens?: number | null | undefined;
  temperature?: number | null | undefined;
  top_p?: number | null | undefined;
  top_k?: number | null | undefined;
  min_p?: number | null | undefined;
  frequency_penalty?: number | null | undefined;
  presence_penalty?: number | null | undefined;
  repetition_penalty?: number | null | undefined;
  logit_bias?: Record<string, number> | null | undefined;
  n?: number | null | undefined;
  seed?: number | null | undefined;
  stop?: string | string[] | null | undefined;
  stop_token_ids?: number[] | null | undefined;
  min_tokens?: number | null | undefined;
  ignore_eos?: boolean | null | undefined;
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

const STOP = { type: 'string', minLength: 1, maxLength: MAX_STOP_LENGTH };

/** `null` counts as left out, as at OpenAI. Ranges and meaning are those of `SamplingParams`. */
export const generationOptions: OptionSchemas = {
  model: z.string().min(1).max(256).describe('A served model: see /v1/models.'),
  max_tokens: maxTokensField,
  temperature: z.number().min(0).max(2).nullish().describe('0 is greedy. Default 1.'),
  top_p: z.number().gt(0).max(1).nullish().describe('Nucleus mass. Default 1 (off).'),
  top_k: z.int().min(-1).max(1_000_000).nullish().describe('Candidates kept; 0 or -1 is off, which is the default.'),
  min_p: z
    .number()
    .min(0)
    .max(1)
    .nullish()
    .describe('Keeps tokens at least this likely in relation to the likeliest. Default 0 (off).'),
  frequency_penalty: z
    .number()
    .min(-2)
    .max(2)
    .nullish()
    .describe('Lowers a token’s logit for each time the answer has it already. Default 0.'),
  presence_penalty: z
    .number()
    .min(-2)
    .max(2)
    .nullish()
    .describe('Lowers the logit of tokens that the answer has already. Default 0.'),
  repetition_penalty: z
    .number()
    .gt(0)
    .max(2)
    .nullish()
    .describe('Above 1, makes tokens of prompt and answer less likely. Default 1.'),
  logit_bias: firstFault<Record<string, number>>(faultInBiases, {
    ...{ type: 'object', propertyNames: { type: 'string', pattern: TOKEN_ID.source }, maxProperties: MAX_BIASES },
    additionalProperties: { type: 'number', minimum: -MAX_BIAS, maximum: MAX_BIAS },
  })
    .nullish()
    .describe('Added to the logits of tokens, by token id: −100 … 100.'),
  n: z.int().min(1).max(MAX_ANSWERS).nullish().describe(`Answers to each prompt, 1 … ${MAX_ANSWERS}. Default 1.`),
  seed: firstFault<number>(faultInSeed, { type: 'integer', format: 'int64' })
    .nullish()
    .describe(
      'The same seed gives the same answer: any integer of 64 bits, −1 among them, of which the engine takes the lower ' +
        '53. If left out, a random one is chosen. `shoal.seed` tells the one that was used.',
    ),
  stop: firstFault<string | string[]>(faultInStop, {
    anyOf: [STOP, { type: 'array', items: STOP, maxItems: MAX_STOPS }],
  })
    .nullish()
    .describe('Text at which generation ends; not part of the answer.'),
  stop_token_ids: firstFault<number[]>(faultInStopTokens, {
    ...{ type: 'array', items: { type: 'integer', minimum: 0 }, maxItems: MAX_STOP_TOKENS },
  })
    .nullish()
    .describe('Tokens at which generation ends; not part of the text.'),
  min_tokens: z.int().min(0).max(1_000_000).nullish().describe('The answer does not end before so many tokens.'),
  ignore_eos: z.boolean().nullish().describe('Goes on after the end-of-sequence token, up to `max_tokens`.'),
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

/** The highest int64 is no double: JSON.parse reads it as 2^63. */
function faultInSeed(seed: unknown): Fault | undefined {
  const isInt64 = typeof seed === 'number' && Number.isInteger(seed) && Math.abs(seed) <= 2 ** 63;
  return isInt64 ? undefined : { message: 'must be an integer of 64 bits: −2^63 … 2^63 − 1' };
}

function faultInBiases(biases: unknown): Fault | undefined {
  if (typeof biases !== 'object' || biases === null || Array.isArray(biases)) {
    return { message: `must map token ids to numbers from ${-MAX_BIAS} to ${MAX_BIAS}` };
  }
  const entries = Object.entries(biases);
  if (entries.length > MAX_BIASES) return { message: `must have at most ${MAX_BIASES} entries` };
  for (const [id, bias] of entries) {
    if (!TOKEN_ID.test(id)) return within({ message: 'is no token id' }, id);
    const isBias = typeof bias === 'number' && Math.abs(bias) <= MAX_BIAS;
    if (!isBias) return within({ message: `must be a number from ${-MAX_BIAS} to ${MAX_BIAS}` }, id);
  }
  return undefined;
}

function faultInStop(stop: unknown): Fault | undefined {
  const stops: unknown[] = Array.isArray(stop) ? stop : [stop];
  if (stops.length > MAX_STOPS || stops.some((text) => typeof text !== 'string')) {
    return { message: `must be a string or up to ${MAX_STOPS} strings` };
  }
  const fault = faultAmong(stops, faultInStopText);
  return fault === undefined || Array.isArray(stop) ? fault : { message: fault.message };
}

function faultInStopText(text: unknown): Fault | undefined {
  const { length } = String(text);
  if (length < 1 || length > MAX_STOP_LENGTH) return { message: `must have 1 to ${MAX_STOP_LENGTH} characters` };
  return isWellFormed(String(text)) ? undefined : { message: WELL_FORMED };
}

function faultInStopTokens(ids: unknown): Fault | undefined {
  if (!Array.isArray(ids) || ids.length > MAX_STOP_TOKENS) {
    return { message: `must be an array of at most ${MAX_STOP_TOKENS} token ids` };
  }
  return faultAmong(ids, (id) => (Number.isSafeInteger(id) && id >= 0 ? undefined : { message: 'must be a token id' }));
}
