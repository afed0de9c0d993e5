import { setTimeout as sleep } from 'node:timers/promises';
import type { Entry } from '../ledger/entry.ts';
import type { Random } from '../random.ts';
import { ErrorBody } from './wire.ts';

/** A connection on which nothing came for this long, not even a comment, is given up. */
const SILENCE_LIMIT_MS = 30_000;
/** How long a client goes on trying to have its request accepted, if it is not told otherwise. */
const PATIENCE_MS = 120_000;
const RETRY_DELAY_MS = 200;

/** An answer that is not the one asked for. */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  readonly detail: string;

  constructor(status: number, code: string, detail: string) {
    super(`${status} ${code}`);
    this.status = status;
    this.code = code;
    this.detail = detail;
  }
}

export interface ClientOptions {
  first?: number | undefined;
  /** How long it goes on trying; it stops in any case when the books of its request are closed. */
  patienceMs?: number;
}

/** What a client of Shoal does when something goes wrong: it tries again, at another replica. */
export class Client {
  readonly #urls: readonly string[];
  readonly #random: Random;
  readonly #patienceMs: number;
  #at = 0;

  /** @param options.first index of the replica that is asked first; default: any */
  constructor(
    urls: readonly string[],
    random: Random,
    { first = random.between(0, urls.length - 1), patienceMs = PATIENCE_MS }: ClientOptions = {},
  ) {
    this.#urls = urls;
    this.#random = random;
    this.#patienceMs = patienceMs;
    this.#at = first;
  }

  get random(): Random {
    return this.#random;
  }

  /** Goes to the other replica. */
  move(): void {
    this.#at += 1;
  }

  get url(): string {
    return this.#urls[this.#at % this.#urls.length] ?? '';
  }

  /**
   * Sends a request until it is answered with a 2xx; every try is noted. Undefined when it was refused for good, which
   * then is its end, or when patience ran out: then nobody has accepted it, and somebody must have said why.
   */
  async insist(entry: Entry, path: string, options: ConnectionOptions): Promise<Connection | undefined> {
    const until = Date.now() + this.#patienceMs;
    while (!entry.closed && Date.now() < until) {
      try {
        return await connect(this.url + path, options);
      } catch (error) {
        if (error instanceof Refusal) entry.refused(error.status);
        if (error instanceof Refusal && !isPassing(error)) {
          entry.end({ kind: 'failed', code: error.code, message: error.detail });
          return undefined;
        }
        if (error instanceof Refusal && error.status === 429 && error.message.includes('without retry-after')) {
          entry.violate('429 without retry-after');
        }
        entry.note(`${options.method ?? 'GET'} at ${this.url}: ${messageOf(error)}`);
      }
      this.move();
      await sleep(RETRY_DELAY_MS * (1 + this.#random.next()));
    }
    if (!entry.closed) entry.resign();
    return undefined;
  }
}

export interface ConnectionOptions {
  method?: 'GET' | 'POST' | 'DELETE';
  headers?: Readonly<Record<string, string>>;
  body?: unknown;
  /** Milliseconds without a byte after which it is given up. */
  silenceMs?: number;
}

/** One HTTP exchange that can be left, and that is left when nothing comes. */
export interface Connection {
  readonly response: Response;
  /** When the request was sent, in Unix milliseconds. */
  readonly sentAt: number;
  /** To be called for every sign of life. */
  alive(): void;
  leave(): void;
}

export async function connect(
  url: string,
  { method = 'GET', headers = {}, body, silenceMs = SILENCE_LIMIT_MS }: ConnectionOptions,
): Promise<Connection> {
  const controller = new AbortController();
  const sentAt = Date.now();
  const timer = setTimeout(() => controller.abort(new Error('silence')), silenceMs);
  timer.unref();
  const leave = (): void => {
    clearTimeout(timer);
    controller.abort(new Error('left'));
  };
  try {
    const response = await fetch(url, {
      method,
      headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: controller.signal,
    });
    if (!response.ok) throw await refusalOf(response);
    return { response, sentAt, alive: () => timer.refresh(), leave };
  } catch (error) {
    leave();
    throw error;
  }
}

async function refusalOf(response: Response): Promise<Refusal> {
  const parsed = ErrorBody.safeParse(await response.json().catch(() => undefined));
  const code = parsed.success ? (parsed.data.error.code ?? 'none') : 'unreadable';
  const unsaid = response.status === 429 && response.headers.get('retry-after') === null;
  const detail = parsed.success ? parsed.data.error.message : '';
  return new Refusal(response.status, unsaid ? `${code} without retry-after` : code, detail);
}

/** Refusals that say nothing of the request: too busy, not there yet, not there any more. */
export function isPassing({ code, status }: Refusal): boolean {
  return status === 429 || code === 'unavailable' || code === 'model_not_found' || code === 'job_not_found';
}

export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : '';
  return error.message + cause;
}
