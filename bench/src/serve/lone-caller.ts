import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const LONGEST_MS = 60_000;
const QUOTED_CHARACTERS = 300;

/** What one answer took. */
export interface LoneTime {
  /** Milliseconds from the first byte of the request to the last of the answer. */
  readonly ms: number;
  /** Of those, from the beginning of the prefill to the last token, where the answer says so. */
  readonly engineMs?: number;
  /** Of those, to the first event of an answer that is streamed. */
  readonly firstMs?: number;
}

/**
 * A caller that costs next to nothing: one open connection, a request whose bytes are there before the clock runs, and an
 * answer that is looked at after it has stopped. What an HTTP client of Node's does for each request and each part of its
 * answer takes it a millisecond where a model has the caches, and is neither the queue's nor the API's.
 */
export class LoneCaller {
  readonly #request: Buffer;
  readonly #tokens: number;
  readonly #url: URL;
  #socket: Socket | undefined;

  /** `body`: of `POST /v1/completions`; each answer must have as many tokens as it asks for at most. */
  constructor(url: string, body: Readonly<Record<string, unknown>>) {
    this.#url = new URL(url);
    this.#tokens = Number(body.max_tokens);
    const json = JSON.stringify(body);
    this.#request = Buffer.from(
      `POST /v1/completions HTTP/1.1\r\nhost: ${this.#url.host}\r\ncontent-type: application/json\r\n` +
        `content-length: ${Buffer.byteLength(json)}\r\n\r\n${json}`,
    );
  }

  async time(): Promise<LoneTime> {
    const socket = await this.#connection();
    const parts: Buffer[] = [];
    let firstAt: number | undefined;
    let timer: NodeJS.Timeout | undefined;
    const answered = new Promise<number>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${LONGEST_MS / 1000} s`)), LONGEST_MS);
      socket.once('close', () => reject(new Error('the connection was closed')));
      socket.on('data', (bytes) => {
        parts.push(bytes);
        if (firstAt === undefined && bytes.includes(EVENT)) firstAt = performance.now();
        if (isWhole(parts)) resolve(performance.now());
      });
    });
    const start = performance.now();
    socket.write(this.#request);
    try {
      const end = await answered;
      const answer = Buffer.concat(parts).toString();
      this.#check(answer);
      return { ms: end - start, ...(firstAt !== undefined && { firstMs: firstAt - start }), ...engineTimeOf(answer) };
    } finally {
      clearTimeout(timer);
      socket.removeAllListeners('data').removeAllListeners('close');
    }
  }

  close(): void {
    this.#socket?.destroy();
  }

  async #connection(): Promise<Socket> {
    if (this.#socket?.writable !== true) {
      this.#socket = connect(Number(this.#url.port), this.#url.hostname).setNoDelay(true);
      await once(this.#socket, 'connect');
      // What it means for the answer is told by its end.
      this.#socket.on('error', () => {});
    }
    return this.#socket;
  }

  #check(answer: string): void {
    const tokens = Number(/"completion_tokens":\s*(\d+)/.exec(answer)?.[1]);
    if (answer.startsWith('HTTP/1.1 200 ') && tokens === this.#tokens) return;
    throw new Error(`${tokens} tokens instead of ${this.#tokens}: ${answer.slice(0, QUOTED_CHARACTERS)}`);
  }
}

/** From Shoal's own part of an answer; another server's has none. */
function engineTimeOf(answer: string): { engineMs?: number } {
  const [started, finished] = ['started_at', 'finished_at'].map((name) =>
    Number(new RegExp(`"${name}":\\s*([\\d.]+)`).exec(answer)?.[1]),
  );
  if (!started || !finished) return {};
  return { engineMs: finished - started };
}

const EVENT = Buffer.from('\ndata: ');
const LAST_CHUNK = Buffer.from('0\r\n\r\n');

/** An answer in chunks ends with an empty one; any other has as many bytes as its head says. */
function isWhole(parts: readonly Buffer[]): boolean {
  const all = Buffer.concat(parts);
  if (all.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK)) return true;
  const text = all.toString('latin1');
  const length = /^content-length: (\d+)\r$/im.exec(text.slice(0, text.indexOf('\r\n\r\n') + 2))?.[1];
  return length !== undefined && text.length >= text.indexOf('\r\n\r\n') + 4 + Number(length);
}
