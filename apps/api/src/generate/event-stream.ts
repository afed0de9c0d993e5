import { ShoalError } from '@shoal/protocol';
import type { FastifyReply } from 'fastify';
import type { ServerDeps } from '../deps.ts';
import { onDeparture } from '../plugins/departure.ts';

export interface EventStreamOptions {
  /** Milliseconds of silence after which a comment is sent. */
  keepAliveMs: number;
  /** Milliseconds that the reader may refuse to take bytes before it is cut off. */
  slowReaderMs: number;
}

const KEEP_ALIVE_MS = 5_000;
const SLOW_READER_MS = 30_000;

export function streamOptions(deps: Pick<ServerDeps, 'keepAliveMs' | 'slowReaderMs'>): EventStreamOptions {
  return { keepAliveMs: deps.keepAliveMs ?? KEEP_ALIVE_MS, slowReaderMs: deps.slowReaderMs ?? SLOW_READER_MS };
}

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache, no-transform',
  // Proxies (nginx) must not collect the events.
  'x-accel-buffering': 'no',
};

/**
 * Server-sent events on one response. Nothing is sent, and the response may still become an ordinary error, until the
 * first event or the first comment. A reader that does not read makes `send` wait, so at most one event per caller is
 * buffered here; one that goes on not reading is cut off.
 */
export class EventStream {
  readonly #reply: FastifyReply;
  readonly #options: EventStreamOptions;
  #opened = false;
  #ended = false;
  #quiet: NodeJS.Timeout | undefined;
  #drained: Promise<void> | undefined;

  constructor(reply: FastifyReply, options: EventStreamOptions) {
    this.#reply = reply;
    this.#options = options;
    this.#quiet = setInterval(() => this.#keepAlive(), options.keepAliveMs);
  }

  /** True once the response has begun: from then on a failure can only be told inside the stream. */
  get opened(): boolean {
    return this.#opened;
  }

  /** Sends one event; resolves when the reader can take more. Rejects with `cancelled` when it is gone or too slow, or after `end`. */
  async send(data: string, id?: number): Promise<void> {
    // Of several jobs in one response, one may fail, and end it, while another is about to tell something. A write now
    // would be an error event that nobody listens to, and the end of this process.
    if (this.#ended) throw new ShoalError('cancelled', 'the stream has ended');
    this.#quiet?.refresh();
    this.#open();
    if (this.#reply.raw.destroyed) throw new ShoalError('cancelled', 'the caller closed the connection');
    const taken = this.#reply.raw.write(id === undefined ? `data: ${data}\n\n` : `id: ${id}\ndata: ${data}\n\n`);
    if (!taken) await this.#untilDrained();
  }

  /** Ends the response, if it has begun, and the comments. Idempotent. */
  end(): void {
    clearInterval(this.#quiet);
    this.#quiet = undefined;
    this.#ended = true;
    if (this.#opened) this.#reply.raw.end();
  }

  #open(): void {
    if (this.#opened) return;
    this.#opened = true;
    this.#reply.hijack();
    this.#reply.raw.writeHead(200, { ...stringHeaders(this.#reply), ...HEADERS });
  }

  #keepAlive(): void {
    if (this.#drained !== undefined || this.#reply.raw.destroyed) return;
    this.#open();
    this.#reply.raw.write(': keep-alive\n\n');
  }

  #untilDrained(): Promise<void> {
    this.#drained ??= waitForDrain(this.#reply, this.#options.slowReaderMs).finally(() => {
      this.#drained = undefined;
    });
    return this.#drained;
  }
}

function waitForDrain(reply: FastifyReply, limitMs: number): Promise<void> {
  const response = reply.raw;
  return new Promise((resolve, reject) => {
    let forgetCaller = (): void => {};
    const settle = (failure?: ShoalError): void => {
      clearTimeout(timer);
      response.off('drain', onDrain);
      forgetCaller();
      if (failure === undefined) resolve();
      else reject(failure);
    };
    const onDrain = (): void => settle();
    const timer = setTimeout(() => {
      settle(new ShoalError('cancelled', `the caller did not read for ${limitMs} ms`));
      response.destroy();
    }, limitMs);
    response.once('drain', onDrain);
    forgetCaller = onDeparture(response, () => settle(new ShoalError('cancelled', 'the caller closed the connection')));
  });
}

function stringHeaders(reply: FastifyReply): Record<string, string | number | string[]> {
  const headers: Record<string, string | number | string[]> = {};
  for (const [name, value] of Object.entries(reply.getHeaders())) if (value !== undefined) headers[name] = value;
  return headers;
}
