import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { ClosedAddressError, isPublicAddress, literalAddress, publicLookup, type Resolve } from './public-address.ts';

export interface PostOptions {
  body: string;
  headers: Readonly<Record<string, string>>;
  timeoutMs: number;
  /** True to call private addresses, and over plain http. */
  allowPrivate: boolean;
  /** Ends the call early. */
  signal: AbortSignal;
  resolve?: Resolve | undefined;
}

/**
 * Posts a body and returns the status of the answer, whose own body is not read. Follows no redirects. Rejects when the
 * address may not be called, cannot be reached, or does not answer in time; the message says which, and no more.
 */
export async function post(url: string, options: PostOptions): Promise<number> {
  const target = new URL(url);
  if (!options.allowPrivate) refuseClosed(target);
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(options.timeoutMs)]);
  try {
    return await send(target, options, signal);
  } catch (error) {
    throw new Error(reasonOf(error, options));
  }
}

function refuseClosed(target: URL): void {
  const literal = literalAddress(target);
  if (target.protocol !== 'https:') throw new Error('only https is called');
  if (literal !== undefined && !isPublicAddress(literal)) throw new ClosedAddressError();
}

function send(target: URL, options: PostOptions, signal: AbortSignal): Promise<number> {
  const request = target.protocol === 'https:' ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const call: ClientRequest = request(target, {
      method: 'POST',
      // A connection of its own: none is shared between tenants, and none outlives its check.
      agent: false,
      headers: { ...options.headers, 'content-length': String(Buffer.byteLength(options.body)) },
      signal,
      ...(options.allowPrivate ? {} : { lookup: publicLookup(options.resolve) }),
    });
    call.on('response', (response: IncomingMessage) => {
      resolve(response.statusCode ?? 0);
      response.destroy();
    });
    // Also after the answer: what breaks then changes nothing.
    call.on('error', reject);
    call.end(options.body);
  });
}

/** Addresses and certificates of whoever was called are not for the job's owner to explore. */
function reasonOf(error: unknown, { signal, timeoutMs }: PostOptions): string {
  if (error instanceof ClosedAddressError) return error.message;
  if (signal.aborted) return 'the server was stopped';
  const { code, name } = error as NodeJS.ErrnoException;
  if (name === 'AbortError' || name === 'TimeoutError') return `no answer within ${timeoutMs} ms`;
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'the name does not resolve';
  return /CERT|SSL|TLS|SELF_SIGNED/.test(code ?? '') ? 'the certificate is not valid' : 'no connection';
}
