import type { z } from 'zod';
import { type Fault, faultAmong, firstFault } from './first-fault.ts';
import { isWellFormed } from './well-formed.ts';

/** Most prompts of one request. */
export const MAX_PROMPTS = 128;

/** One prompt: text, or token ids. */
export type Prompt = string | number[];

const FORMS = `must be a non-empty string, a non-empty array of token ids, or an array of 1 to ${MAX_PROMPTS} of either, in well-formed Unicode`;

const TEXT = { type: 'string', minLength: 1 };
const TOKEN_IDS = { type: 'array', items: { type: 'integer', minimum: 0 }, minItems: 1 };
const SEVERAL = { type: 'array', minItems: 1, maxItems: MAX_PROMPTS };

/** OpenAI's `prompt`: a string, token ids, or an array of either; never empty. */
export const PromptField: z.ZodType<string | string[] | number[] | number[][], unknown> = firstFault(faultInPrompt, {
  anyOf: [TEXT, { ...SEVERAL, items: TEXT }, TOKEN_IDS, { ...SEVERAL, items: TOKEN_IDS }],
  description: `Text or token ids to continue, or an array of up to ${MAX_PROMPTS} of them; each becomes a request of its own.`,
});

/** The first element of an array says which form it has. */
function faultInPrompt(prompt: unknown): Fault | undefined {
  if (typeof prompt === 'string') return isText(prompt) ? undefined : { message: FORMS };
  if (!Array.isArray(prompt) || prompt.length === 0) return { message: FORMS };
  const form = typeof prompt[0];
  if (form !== 'number' && prompt.length > MAX_PROMPTS) return { message: FORMS };
  if (prompt.some((element) => typeof element !== form)) return { message: FORMS };
  if (form === 'number') return faultAmong(prompt, faultInTokenId);
  return faultAmong(prompt, form === 'string' ? faultInText : faultInTokenIds);
}

function faultInText(text: unknown): Fault | undefined {
  return isText(text) ? undefined : { message: 'must be a non-empty string in well-formed Unicode' };
}

function faultInTokenIds(ids: unknown): Fault | undefined {
  if (Array.isArray(ids) && ids.length > 0) return faultAmong(ids, faultInTokenId);
  return { message: 'must be a non-empty array of token ids' };
}

function faultInTokenId(id: unknown): Fault | undefined {
  return Number.isSafeInteger(id) && Number(id) >= 0 ? undefined : { message: 'must be a token id' };
}

function isText(text: unknown): boolean {
  return typeof text === 'string' && text !== '' && isWellFormed(text);
}

/** The prompts of a request, one per choice. */
export function promptsOf(field: string | string[] | number[] | number[][]): Prompt[] {
  if (typeof field === 'string') return [field];
  return isTokenIds(field) ? [field] : field;
}

function isTokenIds(field: string[] | number[] | number[][]): field is number[] {
  return typeof field[0] === 'number';
}
