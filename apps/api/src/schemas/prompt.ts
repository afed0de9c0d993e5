import { z } from 'zod';
import { isWellFormed } from './well-formed.ts';

/** Most prompts of one request. */
export const MAX_PROMPTS = 128;

/** One prompt: text, or token ids. */
export type Prompt = string | number[];

const text = z.string().min(1).refine(isWellFormed);
const tokenIds = z.array(z.int().min(0)).min(1);

/** OpenAI's `prompt`: a string, token ids, or an array of either; never empty. */
export const PromptField: z.ZodType<string | string[] | number[] | number[][], unknown> = z
  .union([text, z.array(text).min(1).max(MAX_PROMPTS), tokenIds, z.array(tokenIds).min(1).max(MAX_PROMPTS)], {
    error: `must be a non-empty string, a non-empty array of token ids, or an array of 1 to ${MAX_PROMPTS} of either, in well-formed Unicode`,
  })
  .describe(
    `Text or token ids to continue, or an array of up to ${MAX_PROMPTS} of them; each becomes a request of its own.`,
  );

/** The prompts of a request, one per choice. */
export function promptsOf(field: string | string[] | number[] | number[][]): Prompt[] {
  if (typeof field === 'string') return [field];
  return isTokenIds(field) ? [field] : field;
}

function isTokenIds(field: string[] | number[] | number[][]): field is number[] {
  return typeof field[0] === 'number';
}
