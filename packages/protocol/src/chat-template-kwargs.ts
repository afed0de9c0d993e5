import { z } from 'zod';

export type JsonValue = string | number | boolean | null | JsonValue[] | { [key: string]: JsonValue };

/** Variables of a model's chat template, by name: what it can be told beside the conversation. */
export type ChatTemplateKwargs = Record<string, JsonValue>;

const MOST_VARIABLES = 16;
const MOST_CHARACTERS = 4096;
const DEEPEST = 8;
const NAME = /^[A-Za-z]\w{0,63}$/;

/** What the engine sets itself, what Shoal does not have, and Jinja's own names. */
const TAKEN: ReadonlySet<string> = new Set([
  ...['messages', 'add_generation_prompt', 'bos_token', 'eos_token', 'pad_token', 'unk_token'],
  ...['chat_template', 'continue_final_message', 'tools', 'documents'],
  ...['true', 'false', 'none', 'True', 'False', 'None', 'namespace', 'raise_exception', 'range', 'strftime_now'],
]);

/**
 * At most 16 variables, which together are 4,096 characters of names, texts and values, nested 8 deep. Looked at by
 * hand, to the first fault: zod's own JSON goes as deep as a caller does, and makes an issue of every element.
 */
export const ChatTemplateKwargs: z.ZodType<ChatTemplateKwargs, unknown> = z
  .unknown()
  .check(({ value, issues }) => {
    const fault = faultIn(value);
    if (fault !== undefined) issues.push({ code: 'custom', input: value, path: [], ...fault });
  })
  .meta({
    type: 'object',
    propertyNames: { type: 'string', pattern: NAME.source },
    maxProperties: MOST_VARIABLES,
  }) as z.ZodType as z.ZodType<ChatTemplateKwargs, unknown>;

function faultIn(value: unknown): { message: string; path?: PropertyKey[] } | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { message: 'must be an object: variables of the chat template, by name' };
  }
  const names = Object.keys(value);
  if (names.length > MOST_VARIABLES) return { message: `must have at most ${MOST_VARIABLES} variables` };
  if (!names.every((name) => NAME.test(name))) {
    return { message: 'names of variables must be a letter, then up to 63 letters, digits or underscores' };
  }
  const taken = names.find((name) => TAKEN.has(name));
  if (taken !== undefined) return { message: 'cannot be set by a request; leave it out', path: [taken] };
  if (leftAfter(value, MOST_CHARACTERS, 0) >= 0) return undefined;
  return { message: `must be JSON of at most ${MOST_CHARACTERS} characters, ${DEEPEST} deep, in well-formed Unicode` };
}

/** What a value leaves of so many characters; negative where it is too large, too deep, or no JSON. */
function leftAfter(value: unknown, characters: number, depth: number): number {
  const left = characters - 1;
  if (left < 0 || depth > DEEPEST) return -1;
  if (value === null || typeof value === 'boolean' || Number.isFinite(value)) return left;
  if (typeof value === 'string') return /\p{Surrogate}/u.test(value) ? -1 : left - value.length;
  if (typeof value !== 'object') return -1;
  const size = Array.isArray(value) ? value.length : Object.keys(value).length;
  if (size > left) return -1;
  const inside: readonly unknown[] = Array.isArray(value) ? value : Object.entries(value).flat();
  return inside.reduce<number>((rest, element) => (rest < 0 ? rest : leftAfter(element, rest, depth + 1)), left);
}
