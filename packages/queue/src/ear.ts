import { type GenerateResult, type RequestEvent, ShoalError, tokensFrom } from '@shoal/protocol';
import type { Hearing } from './replies.ts';

/** Events kept for a reader that is slower than its request; more are read again from the token log. */
const MOST_QUEUED = 256;

const OVER: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** What the token log and the job say, from a position on. */
export interface LogReading {
  events: RequestEvent[];
  /** Present once the job is finished. */
  terminal?: RequestEvent;
}

/**
 * One reader of one request. Whatever arrives is merged by position: what was had before is dropped, and after a gap,
 * an overflow or a doubt the rest is read from the token log, when the reader asks for more.
 */
export class Ear implements Hearing {
  readonly id: string;
  /** The job that generates for it: another when the request shares one. */
  jobId: string;
  /** The last sign of life, by which silence is measured, by `performance.now()`. */
  heardAt: number = performance.now();
  /** How often in a row the job was found missing. */
  misses = 0;
  /** True once this process is in the job's set of readers. */
  joined: boolean;
  /** True once the terminal event is in the buffer. */
  ended = false;
  readonly #read: (ear: Ear) => Promise<LogReading>;
  readonly #onClose: (ear: Ear) => void;
  readonly #queue: RequestEvent[] = [];
  /** Arrived while the log was being read. */
  #meanwhile: RequestEvent[] | undefined;
  #position: number;
  #mustRead: boolean;
  #failure: ShoalError | undefined;
  #over = false;
  #wake: (() => void) | undefined;

  constructor(options: {
    id: string;
    position: number;
    /** True to begin with what the log has. */
    fromLog: boolean;
    read(ear: Ear): Promise<LogReading>;
    onClose(ear: Ear): void;
  }) {
    this.id = options.id;
    this.jobId = options.id;
    this.#position = options.position;
    this.#mustRead = options.fromLog;
    this.joined = options.fromLog;
    this.#read = options.read;
    this.#onClose = options.onClose;
  }

  /** Length of the log as this reader knows it. */
  get position(): number {
    return this.#position;
  }

  /** True when its reader left, or was given the end. */
  get closed(): boolean {
    return this.#over;
  }

  /** True while it reads its log, or is to: then it takes nothing that is told. */
  get behind(): boolean {
    return this.#mustRead || this.#meanwhile !== undefined;
  }

  /** Takes an event that was told. */
  offer(event: RequestEvent): void {
    this.heardAt = performance.now();
    this.misses = 0;
    if (this.#over || this.#failure !== undefined) return;
    if (this.#meanwhile !== undefined) {
      if (this.#meanwhile.length < MOST_QUEUED) this.#meanwhile.push(event);
      else this.#mustRead = true;
      return;
    }
    if (this.#mustRead) return;
    this.#merge(event);
    this.#wake?.();
  }

  /** Something may have been missed. */
  doubt(): void {
    this.#mustRead = true;
    this.#wake?.();
  }

  fail(error: ShoalError): void {
    if (this.#over) return;
    this.#failure = error;
    this.#onClose(this);
    this.#wake?.();
  }

  /** The reader left. */
  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#onClose(this);
    this.#wake?.();
  }

  /** By hand: a generator costs several promises for every event of every stream. */
  [Symbol.asyncIterator](): AsyncIterator<RequestEvent, undefined> {
    return {
      next: () => this.#next(),
      return: () => {
        this.close();
        return Promise.resolve(OVER);
      },
    };
  }

  async #next(): Promise<IteratorResult<RequestEvent, undefined>> {
    while (!this.#over) {
      const event = this.#queue.shift();
      if (event !== undefined) return { done: false, value: event };
      if (this.#failure !== undefined) {
        this.close();
        throw this.#failure;
      }
      // The terminal event was the last that was given.
      if (this.ended) this.close();
      else if (this.#mustRead) await this.#readLog();
      else await this.#untilWoken();
    }
    return OVER;
  }

  #untilWoken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  async #readLog(): Promise<void> {
    this.#meanwhile = [];
    this.#mustRead = false;
    let reading: LogReading;
    try {
      reading = await this.#read(this);
    } catch (error) {
      this.fail(error instanceof ShoalError ? error : new ShoalError('unavailable', 'the token log cannot be read'));
      return;
    }
    const meanwhile = this.#meanwhile;
    this.#meanwhile = undefined;
    for (const event of reading.events) this.#enqueue(event);
    if (reading.terminal !== undefined) {
      this.#endWith(reading.terminal);
      return;
    }
    for (const event of meanwhile) this.#merge(event);
  }

  #merge(event: RequestEvent): void {
    // A failure does not say how long the log is: it may end the request only behind all of it.
    if (this.#mustRead) return;
    if (this.#queue.length >= MOST_QUEUED) {
      this.#mustRead = true;
      return;
    }
    if (event.type === 'tokens') {
      if (event.position > this.#position) this.#mustRead = true;
      else this.#enqueue(event);
      return;
    }
    const missing = event.type === 'completed' && lengthOf(event.result) > this.#position;
    if (missing) this.#mustRead = true;
    else this.#endWith(event);
  }

  /** Nothing more is to come: only the reader still needs this ear. */
  #endWith(event: RequestEvent): void {
    this.#queue.push(event);
    this.ended = true;
    this.#mustRead = false;
    this.#onClose(this);
  }

  /** Of an entry that begins before the position asked for, and ends after it, the rest is given. */
  #enqueue(event: RequestEvent): void {
    if (event.type !== 'tokens') return;
    const end = event.position + event.tokenIds.length;
    if (end <= this.#position) return;
    this.#queue.push(tokensFrom(event, this.#position));
    this.#position = end;
  }
}

/** Length of the token log of a finished request: the tokens of all its choices. */
function lengthOf({ tokenIds, choices }: GenerateResult): number {
  return choices === undefined ? tokenIds.length : choices.reduce((sum, choice) => sum + choice.tokenIds.length, 0);
}
