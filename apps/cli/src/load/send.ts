import { type ApiAddress, errorOfResponse, readEvents, ShoalError, unreachable } from '@shoal/client';
import { isErrorCode } from '@shoal/protocol';
import { z } from 'zod';

export interface Target extends ApiAddress {
  model: string;
  maxTokens: number | undefined;
  temperature: number;
  stream: boolean;
}

/** What came of one request; times in milliseconds of the clock. */
export interface Sent {
  sentAt: number;
  /** When each part of the answer came; one where it comes whole. */
  partsAt: number[];
  endedAt: number;
  /** Tokens generated. */
  tokens: number;
  /** Why there is no answer. */
  error?: ShoalError;
}

/** Longer than any pause between keep-alive comments. */
const SILENCE_MS = 60_000;

const Failure = z.object({ error: z.object({ message: z.string(), code: z.string().nullish() }) });
const Part = z.object({
  choices: z.array(z.object({ text: z.string() })),
  usage: z.object({ completion_tokens: z.number() }).nullish(),
});

/** Asks `/v1/completions`, as any caller does, and never for an answer that others share. */
export async function send(
  target: Target,
  prompt: string,
  { signal, clock }: { signal: AbortSignal; clock: () => number },
): Promise<Sent> {
  const sent: Sent = { sentAt: clock(), partsAt: [], endedAt: 0, tokens: 0 };
  try {
    const response = await post(target, prompt, signal);
    if (!response.ok) throw await errorOfResponse(response);
    if (target.stream) {
      for await (const data of readEvents(response, SILENCE_MS)) if (data !== '[DONE]') take(sent, data, clock());
    } else {
      take(sent, await response.text(), clock());
    }
  } catch (error) {
    sent.error = error instanceof ShoalError ? error : unreachable(target.base, error);
  }
  sent.endedAt = clock();
  return sent;
}

function post(target: Target, prompt: string, signal: AbortSignal): Promise<Response> {
  const { base, authorization, model, maxTokens, temperature, stream } = target;
  const body = { model, prompt, max_tokens: maxTokens, temperature, stream };
  return fetch(`${base}/v1/completions`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'cache-control': 'no-store',
      ...(authorization === undefined ? {} : { authorization }),
    },
    body: JSON.stringify(stream ? { ...body, stream_options: { include_usage: true } } : body),
    signal,
  });
}

/** Notes a part of the answer; throws the failure where it tells one. */
function take(sent: Sent, data: string, now: number): void {
  const json: unknown = JSON.parse(data);
  const failure = Failure.safeParse(json).data?.error;
  if (failure !== undefined) throw errorOf(failure);
  const { choices, usage } = Part.parse(json);
  if (choices.some(({ text }) => text !== '')) sent.partsAt.push(now);
  sent.tokens = usage?.completion_tokens ?? sent.tokens;
}

function errorOf({ code, message }: { message: string; code?: string | null | undefined }): ShoalError {
  return new ShoalError(isErrorCode(code) ? code : 'unavailable', message);
}
