import { z } from 'zod';

/**
 * How the next token is chosen and when to stop: the inside form, complete and exact. The API's border translates
 * OpenAI's optional, snake_case fields into it. Names follow vLLM's SamplingParams in camelCase.
 */
export interface SamplingParams {
  /** Most tokens to generate, 1 … 1,000,000; the context length bounds it further. Absent: up to the context length. */
  maxTokens?: number | undefined;
  /** 0 is greedy; at most 2. Default 1. */
  temperature: number;
  /** Nucleus mass, (0, 1]. Default 1 (off). */
  topP: number;
  /** Candidates kept, 0 … 1,000,000; 0 is off. Default 0. */
  topK: number;
  /** Reproduces the randomness, 0 … 2^53 − 1. The API gives every request one at acceptance. */
  seed?: number | undefined;
  /** Text at which generation ends, not included in the answer. At most 4 strings of 1 … 128 characters. */
  stop: string[];
}

export const SamplingParams: z.ZodType<SamplingParams, unknown> = z.strictObject({
  maxTokens: z.int().min(1).max(1_000_000).optional(),
  temperature: z.number().min(0).max(2).default(1),
  topP: z.number().gt(0).max(1).default(1),
  topK: z.int().min(0).max(1_000_000).default(0),
  seed: z.int().min(0).optional(),
  stop: z.array(z.string().min(1).max(128)).max(4).default([]),
});
