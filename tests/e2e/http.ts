import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { HeldOutPrompt } from '../minnow/held-out.ts';

/** What the tests read of an answer, whichever of the two endpoints gave it. */
const answer = z.object({
  id: z.string(),
  choices: z
    .array(
      z.object({
        text: z.string().optional(),
        message: z.object({ content: z.string() }).optional(),
        finish_reason: z.string(),
      }),
    )
    .min(1),
  usage: z.object({ prompt_tokens: z.number(), completion_tokens: z.number() }),
  shoal: z.object({ job_id: z.string(), worker: z.string(), batch: z.object({ id: z.number(), size: z.number() }) }),
});

export interface Answer {
  text: string;
  jobId: string;
  batchSize: number;
}

const LIMIT_MS = 60_000;
const ATTEMPTS = 11;
const PAUSE_MS = 500;

/** One attempt, whatever it is answered. */
export async function post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(LIMIT_MS),
  });
}

/**
 * As clients do: an API that a busy machine keeps from its Redis for a second says so with a 503, and is asked again. A
 * job that it did submit is not submitted twice.
 */
export async function insist(url: string, body: unknown): Promise<Response> {
  const headers = { 'idempotency-key': randomUUID() };
  for (let attempt = 1; ; attempt += 1) {
    const response = await post(url, body, headers);
    if (response.status !== 503 || attempt === ATTEMPTS) return response;
    await response.text();
    await sleep(PAUSE_MS);
  }
}

/** The request for one prompt in its own form: path and body. */
export function requestFor(row: HeldOutPrompt, extra: object = {}): { path: string; body: object } {
  const shared = { model: 'minnow', temperature: 0, max_tokens: 400, ...extra };
  return row.form === 'chat'
    ? { path: '/v1/chat/completions', body: { ...shared, messages: [{ role: 'user', content: row.prompt }] } }
    : { path: '/v1/completions', body: { ...shared, prompt: row.prompt } };
}

/** Greedy answer to one prompt, over HTTP. */
export async function ask(base: string, row: HeldOutPrompt): Promise<Answer> {
  const { path, body } = requestFor(row);
  const response = await insist(base + path, body);
  if (response.status !== 200) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
  const parsed = answer.parse(await response.json());
  const choice = parsed.choices[0];
  return {
    text: choice?.message?.content ?? choice?.text ?? '',
    jobId: parsed.shoal.job_id,
    batchSize: parsed.shoal.batch.size,
  };
}

/** The `data:` payloads of a server-sent event stream, `[DONE]` included, as they come. */
export async function* events(response: Response): AsyncGenerator<string> {
  if (response.body === null) throw new Error('a stream without a body');
  let rest = '';
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + chunk).split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      for (const line of block.split('\n')) if (line.startsWith('data: ')) yield line.slice('data: '.length);
    }
  }
}

const chunkSchema = z.object({
  choices: z.array(
    z.object({ text: z.string().optional(), delta: z.object({ content: z.string().nullish() }).optional() }),
  ),
});

/** The text in one chunk of a stream. */
export function textOf(data: string): string {
  const choice = chunkSchema.parse(JSON.parse(data)).choices[0];
  return choice?.delta?.content ?? choice?.text ?? '';
}

/** Streams one prompt to its end; calls `onText` for every piece. */
export async function stream(base: string, row: HeldOutPrompt, onText: (text: string) => void): Promise<string> {
  const { path, body } = requestFor(row, { stream: true });
  let text = '';
  for await (const data of events(await insist(base + path, body))) {
    if (data === '[DONE]') return text;
    const piece = textOf(data);
    text += piece;
    onText(piece);
  }
  throw new Error(`the stream ended without [DONE] after ${text.length} characters`);
}
