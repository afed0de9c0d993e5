import { expect, test } from 'vitest';
import type { z } from 'zod';
import { ChatBody, CompletionBody, JobsBody } from './bodies.ts';

const many = (element: unknown): unknown[] => Array(1_000_000).fill(element);
const completion = { model: 'minnow', prompt: 'hi' };
const chat = { model: 'minnow', messages: [{ role: 'user', content: 'hi' }] };
const biases = Object.fromEntries(Array.from({ length: 200_000 }, (_, at) => [`x${at}`, 'y']));

test.each<[what: string, schema: z.ZodType, body: unknown, path: PropertyKey[]]>([
  ['token ids', CompletionBody, { ...completion, prompt: many(-1) }, ['prompt', 0]],
  ['token ids, the last one', CompletionBody, { ...completion, prompt: [...many(1), -1] }, ['prompt', 1_000_000]],
  ['prompts that are nothing', CompletionBody, { ...completion, prompt: many({}) }, ['prompt']],
  ['empty prompts', CompletionBody, { ...completion, prompt: many('') }, ['prompt']],
  ['token ids of one of several prompts', CompletionBody, { ...completion, prompt: [many(1.5)] }, ['prompt', 0, 0]],
  ['biases', CompletionBody, { ...completion, logit_bias: biases }, ['logit_bias']],
  ['stops', CompletionBody, { ...completion, stop: many(0) }, ['stop']],
  ['stop tokens', ChatBody, { ...chat, stop_token_ids: many('') }, ['stop_token_ids']],
  ['messages', ChatBody, { ...chat, messages: many(0) }, ['messages']],
  ['parts', ChatBody, { ...chat, messages: [{ role: 'user', content: many(0) }] }, ['messages', 0, 'content']],
  ['jobs', JobsBody, many(0), []],
  ['a thousand jobs', JobsBody, Array(1000).fill({}), [0, 'endpoint']],
])('%s: bad ones by the million are one issue', (_, schema, body, path) => {
  const issues = schema.safeParse(body).error?.issues ?? [];
  expect(countOf(issues)).toBe(1);
  expect(issues[0]?.path).toEqual(path);
});

/** Issues, with those that a union keeps of each of its forms. */
function countOf(issues: readonly z.core.$ZodIssue[]): number {
  return issues.reduce(
    (sum, issue) => sum + 1 + (issue.code === 'invalid_union' ? countOf(issue.errors.flat()) : 0),
    0,
  );
}
