import { readFileSync } from 'node:fs';
import { z } from 'zod';

/** One held-out prompt. The whole greedy answer must equal `expected`, or match `pattern`. */
const heldOutPrompt = z
  .object({
    id: z.string(),
    family: z.string(),
    form: z.enum(['chat', 'completion']),
    prompt: z.string(),
    expected: z.string().optional(),
    pattern: z.string().optional(),
  })
  .refine((row) => (row.expected === undefined) !== (row.pattern === undefined), 'expected or pattern, not both');

export type HeldOutPrompt = z.infer<typeof heldOutPrompt>;

const FILE = new URL('../../models/minnow/evaluation/held-out.jsonl', import.meta.url);

export function heldOutPrompts(): HeldOutPrompt[] {
  return readFileSync(FILE, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => heldOutPrompt.parse(JSON.parse(line)));
}

export function isRight(row: HeldOutPrompt, answer: string): boolean {
  return row.pattern === undefined ? answer === row.expected : new RegExp(row.pattern, 'u').test(answer);
}

/** `count` prompts spread evenly over the file, and so over the families. */
export function mixed(count: number): HeldOutPrompt[] {
  const rows = heldOutPrompts();
  const stride = Math.floor(rows.length / count);
  return rows.filter((_row, index) => index % stride === 0).slice(0, count);
}

/** One prompt of the file. */
export function lonePrompt(): HeldOutPrompt {
  const [row] = mixed(1);
  if (row === undefined) throw new Error('the file of held-out prompts is empty');
  return row;
}
