import { CallFailed, call, eventsOf } from './caller.ts';
import type { Model } from './models.ts';

export interface Asking {
  model: Model;
  prompts: readonly string[];
  maxTokens: number;
  temperature: number;
  key: string;
  signal: AbortSignal;
}

/** Unix times in milliseconds, by the clocks of the queue and the worker. */
export interface Timings {
  queued_at: number;
  claimed_at: number;
  started_at: number;
  first_token_at: number;
  finished_at: number;
}

/** Shoal's part of the last chunk of an answer. */
export interface RideJson {
  worker: string;
  batch: { id: number; size: number };
  timings: Timings;
}

interface Chunk {
  choices?: { index: number; text?: string; delta?: { content?: string }; finish_reason: string | null }[];
  shoal?: RideJson;
  usage?: { completion_tokens: number } | null;
  error?: { message: string };
}

export interface AnswerListener {
  /** The jobs of the prompts, in their order. */
  onJobs(ids: readonly string[]): void;
  onText(index: number, text: string): void;
  onEnd(index: number, ride: RideJson | undefined): void;
  onTokens(generated: number): void;
}

/**
 * Asks everything in one request, because a browser opens only six connections at once. A single prompt is a chat where
 * the model can chat. Aborting the signal cancels all of it.
 */
export async function streamAnswers(asking: Asking, listener: AnswerListener): Promise<void> {
  const { model, prompts, key, signal } = asking;
  const chat = prompts.length === 1 && model.chat;
  const body = {
    model: model.id,
    max_tokens: asking.maxTokens,
    temperature: asking.temperature,
    stream: true,
    stream_options: { include_usage: true },
    ...(chat ? { messages: [{ role: 'user', content: prompts[0] }] } : { prompt: prompts, stop: ['\n\n'] }),
  };
  const response = await call(chat ? '/v1/chat/completions' : '/v1/completions', { key, body, signal });
  listener.onJobs(jobsOf(response.headers));
  for await (const chunk of eventsOf<Chunk>(response)) takeChunk(chunk, listener);
}

/** The ids; or, where they would be too long for a header, what they begin with and how many they are. */
function jobsOf(headers: Headers): string[] {
  const ids = headers.get('x-shoal-job-id') ?? '';
  const count = headers.get('x-shoal-job-count');
  if (count !== null) return Array.from({ length: Number(count) }, (_, index) => `${ids}-${index}`);
  return ids.split(',').filter((id) => id !== '');
}

function takeChunk({ error, usage, choices, shoal }: Chunk, listener: AnswerListener): void {
  if (error !== undefined) throw new CallFailed(200, error.message);
  if (usage) listener.onTokens(usage.completion_tokens);
  for (const { index, text, delta, finish_reason: end } of choices ?? []) {
    const more = delta?.content ?? text ?? '';
    if (more !== '') listener.onText(index, more);
    if (end !== null) listener.onEnd(index, shoal);
  }
}
