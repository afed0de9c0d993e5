import type { ShoalClient } from '../client.ts';
import { type RetryOptions, retryPolicy } from '../retry.ts';
import { TransportClient } from '../transport-client.ts';
import { apiAddress } from './api-address.ts';
import { HttpTransport } from './http-transport.ts';

export interface HttpClientOptions extends RetryOptions {
  /**
   * Where the API is: `http://127.0.0.1:3000`. A path before `/v1` is kept. A user and password in it are for a proxy
   * before the API (`Authorization: Basic`), and go together with no `apiKey`.
   */
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
    ...apiAddress(options),
    requestTimeoutMs: options.requestTimeoutMs ?? 30_000,
    silenceMs: options.silenceMs ?? 30_000,
    fetch: options.fetch ?? fetch,
  });
  return new TransportClient(transport, retryPolicy(options), options.model);
}
