import { z } from 'zod';

/**
 * How the next token is chosen and when to stop: the inside form, complete and exact. The API's border translates
 * OpenAI's optional, snake_case fields into it. Names follow vLLM's SamplingParams in camelCase.
 */
export interface SamplingParams {
  /** Most tokens to generate, 1 … 1,000,000; the context length bounds it further. Absent: up to the context length. */
  maxTokens?: number | undefined;
  /** 0 is greedy, and so is less than 1e-30, which float32 cannot divide by; at most 2. Default 1. */
  temperature: number;
  /** Nucleus mass, (0, 1]. Default 1 (off). */
  topP: number;
  /** Candidates kept, 0 … 1,000,000; 0 is off. Default 0. */
  topK: number;
  /** Reproduces the randomness, 0 … 2^53 − 1. The API gives every request one at acceptance. */
  seed?: number | undefined;
  /** Text at which generation ends, not included in the answer. At most 4 strings of 1 … 128 characters. */
  stop: string[];
  /** Tokens at which generation ends, not included in the text. At most 64. Default none. */
  stopTokenIds?: number[] | undefined;
  /** Keeps only tokens at least this likely in relation to the most likely one, 0 … 1. Default 0 (off). */
  minP?: number | undefined;
  /** Divides the positive logits of tokens of prompt and answer, multiplies the negative ones; (0, 2]. Default 1. */
  repetitionPenalty?: number | undefined;
  /** Subtracted from a token's logit once per occurrence in the answer, −2 … 2. Default 0. */
  frequencyPenalty?: number | undefined;
  /** Subtracted from a token's logit when it occurs in the answer, −2 … 2. Default 0. */
  presencePenalty?: number | undefined;
  /** Added to logits, by token id: −100 … 100. At most 1,024 entries. Default none. */
  logitBias?: Record<string, number> | undefined;
  /** Goes on after the end-of-sequence token. Default false. */
  ignoreEos?: boolean | undefined;
  /** Neither end-of-sequence nor stop tokens are chosen, nor stop strings heeded, before this many tokens. Default 0. */
  minTokens?: number | undefined;
  /** Tells each token's log probability, and this many of the most likely ones, 0 … 20. Absent: none. */
  logprobs?: number | undefined;
  /** Answers to the one prompt, 1 … 16. Default 1. */
  n?: number | undefined;
}

export const SamplingParams: z.ZodType<SamplingParams, unknown> = z.strictObject({
  maxTokens: z.int().min(1).max(1_000_000).optional(),
  temperature: z.number().min(0).max(2).default(1),
  topP: z.number().gt(0).max(1).default(1),
  topK: z.int().min(0).max(1_000_000).default(0),
  seed: z.int().min(0).optional(),
  stop: z.array(z.string().min(1).max(128)).max(4).default([]),
  stopTokenIds: z.array(z.int().min(0)).max(64).optional(),
  minP: z.number().min(0).max(1).optional(),
  repetitionPenalty: z.number().gt(0).max(2).optional(),
  frequencyPenalty: z.number().min(-2).max(2).optional(),
  presencePenalty: z.number().min(-2).max(2).optional(),
  logitBias: z
    .record(z.string().regex(/^\d{1,7}$/, 'must be a token id'), z.number().min(-100).max(100))
    .refine((bias) => Object.keys(bias).length <= 1024, { message: 'at most 1,024 entries' })
    .optional(),
  ignoreEos: z.boolean().optional(),
  minTokens: z.int().min(0).max(1_000_000).optional(),
  logprobs: z.int().min(0).max(20).optional(),
  n: z.int().min(1).max(16).optional(),
});
