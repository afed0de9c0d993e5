import { ShoalError } from '@shoal/protocol';
import type { ShoalClient } from '../client.ts';
import { type RetryOptions, retryPolicy } from '../retry.ts';
import { TransportClient } from '../transport-client.ts';
import { HttpTransport } from './http-transport.ts';

export interface HttpClientOptions extends RetryOptions {
  /** Where the API is: `http://127.0.0.1:3000`. A path before `/v1` is kept. */
  url: string;
  /** One of the API's keys, where it asks for one. */
  apiKey?: string | undefined;
  /** Model of requests that name none. */
  model?: string | undefined;
  /** Milliseconds that one HTTP call may take, ≥ 1. Default 30,000. */
  requestTimeoutMs?: number | undefined;
  /**
   * Milliseconds of silence after which a stream counts as broken, ≥ 1. Default 30,000; an API in order writes
   * a comment every 5 s.
   */
  silenceMs?: number | undefined;
  /** For tests and proxies. Default: Node's own. */
  fetch?: typeof fetch | undefined;
}

/** A client over HTTP. Nothing is connected before the first call. */
export function httpClient(options: HttpClientOptions): ShoalClient {
  const transport = new HttpTransport({
    base: baseOf(options.url),
    apiKey: options.apiKey,
    requestTimeoutMs: options.requestTimeoutMs ?? 30_000,
    silenceMs: options.silenceMs ?? 30_000,
    fetch: options.fetch ?? fetch,
  });
  return new TransportClient(transport, retryPolicy(options), options.model);
}

function baseOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url.href.replace(/\/+(v1\/?)?$/, '');
  throw new ShoalError('invalid_request_error', 'url: must be an http or https URL, as in http://127.0.0.1:3000', {
    param: 'url',
  });
}
