import { openaiBody, type RequestEvent, ShoalError } from '@shoal/protocol';
import type { z } from 'zod';
import type { Job, QueueState } from '../job.ts';
import type { CheckedRequest, ShoalRequest } from '../request.ts';
import type { Transport } from '../transport.ts';
import { readEvents } from './event-source.ts';
import { errorOfResponse, unreachable } from './http-error.ts';
import { EventJson, JobAnswer } from './job-json.ts';
import { ModelsAnswer, queueStates } from './queue-states.ts';
import { RequestAnswer } from './request-answer.ts';
import { traceHeaders } from './trace-headers.ts';

export interface HttpTransportOptions {
  /** Without a slash at the end. */
  base: string;
  /** What the `authorization` header says, if anything. */
  authorization: string | undefined;
  requestTimeoutMs: number;
  silenceMs: number;
  fetch: typeof fetch;
}

/** One call; absent and `undefined` mean the same. */
type Call = Omit<RequestInit, 'signal'> & { signal?: AbortSignal | undefined };

/** {@link Transport} over `/v1/jobs`, which has what resuming needs: ids, idempotency keys and positions. */
export class HttpTransport implements Transport {
  readonly #options: HttpTransportOptions;

  constructor(options: HttpTransportOptions) {
    this.#options = options;
  }

  submit(request: CheckedRequest, key: string): Promise<Job> {
    return this.#json(JobAnswer, '/v1/jobs', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': key },
      body: JSON.stringify(bodyOf(request)),
    });
  }

  job(id: string, signal?: AbortSignal): Promise<Job> {
    return this.#json(JobAnswer, jobPath(id), { signal });
  }

  request(id: string, signal?: AbortSignal): Promise<ShoalRequest> {
    return this.#json(RequestAnswer, `${jobPath(id)}?include=request`, { signal });
  }

  cancel(id: string, signal?: AbortSignal): Promise<Job> {
    return this.#json(JobAnswer, jobPath(id), { method: 'DELETE', signal });
  }

  async *follow(id: string, position: number, signal: AbortSignal): AsyncGenerator<RequestEvent, void, undefined> {
    const left = new AbortController();
    const either = AbortSignal.any([signal, left.signal]);
    try {
      const response = await this.#fetch(`${jobPath(id)}/events`, {
        headers: { accept: 'text/event-stream', 'last-event-id': String(position) },
        signal: either,
        // Headers come with the first event or comment, which the silence bounds as it does every other.
        timeoutMs: this.#options.silenceMs,
      });
      for await (const data of readEvents(response, this.#options.silenceMs)) {
        const event = parsed(EventJson, data);
        if (event.type === 'broken') throw ShoalError.fromBody(event.error);
        yield event;
      }
    } catch (error) {
      throw error instanceof ShoalError ? error : unreachable(this.#options.base, error);
    } finally {
      left.abort();
    }
  }

  async queues(signal?: AbortSignal): Promise<QueueState[]> {
    const models = await this.#json(ModelsAnswer, '/v1/models', { signal });
    // An API that keeps its metrics to itself still tells its models.
    const metrics = await this.#text('/metrics', { signal }).catch(() => '');
    return queueStates(models, metrics);
  }

  async close(): Promise<void> {}

  async #json<T>(schema: z.ZodType<T, unknown>, path: string, call: Call): Promise<T> {
    return parsed(schema, await this.#text(path, call));
  }

  async #text(path: string, { signal, ...init }: Call): Promise<string> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), this.#options.requestTimeoutMs);
    const either = AbortSignal.any([late.signal, ...(signal === undefined ? [] : [signal])]);
    try {
      return await (await this.#fetch(path, { ...init, signal: either })).text();
    } catch (error) {
      throw error instanceof ShoalError ? error : unreachable(this.#options.base, error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** A response of status 2xx; rejects with what another one tells. */
  async #fetch(path: string, { timeoutMs, ...init }: RequestInit & { timeoutMs?: number }): Promise<Response> {
    const { base, authorization, fetch } = this.#options;
    const headers = new Headers(init.headers);
    for (const [name, value] of Object.entries(await traceHeaders())) headers.set(name, value);
    if (authorization !== undefined) headers.set('authorization', authorization);
    const late = new AbortController();
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => late.abort(), timeoutMs);
    const signals = [late.signal, ...(init.signal ? [init.signal] : [])];
    try {
      const response = await fetch(base + path, { ...init, headers, signal: AbortSignal.any(signals) });
      if (!response.ok) throw await errorOfResponse(response);
      return response;
    } catch (error) {
      throw error instanceof ShoalError ? error : unreachable(base, error);
    } finally {
      clearTimeout(timer);
    }
  }
}

function jobPath(id: string): string {
  return `/v1/jobs/${encodeURIComponent(id)}`;
}

function parsed<T>(schema: z.ZodType<T, unknown>, text: string): T {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw strange();
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  throw strange(result.error);
}

function strange(cause?: unknown): ShoalError {
  const message =
    'the answer is not one of the Shoal API; check the URL, and that client and API are of the same version';
  return new ShoalError('invalid_request_error', message, { cause });
}

/** The body of `POST /v1/jobs` for a request. */
function bodyOf({ model, input, params, priority, timeoutMs, webhookUrl }: CheckedRequest): object {
  return { model, ...openaiBody({ ...input, params }), priority, timeout_ms: timeoutMs, webhook_url: webhookUrl };
}
