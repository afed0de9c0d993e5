import { extendTokens, ownTokens, type ShoalError, type TokensEvent } from '@shoal/protocol';
import type { EngineEvent, FinishedEvent } from './generation-engine.ts';

/** Where the events of one request go. Called synchronously inside a step; must not throw. */
export interface EventSink {
  tokens(event: TokensEvent): void;
  finish(event: FinishedEvent): void;
  fail(error: ShoalError): void;
}

/**
 * The reader's end of one request. A reader that falls behind finds its unread tokens merged into one event, so what
 * is buffered is never more than one answer. Leaving the loop early, or aborting the signal, calls `onLeave`.
 */
export class EventStream implements AsyncIterableIterator<EngineEvent>, EventSink {
  readonly #onLeave: () => void;
  readonly #signal: AbortSignal | undefined;
  /** Unread, neighbours of the same choice merged. */
  readonly #tokens: TokensEvent[] = [];
  #finished: FinishedEvent | undefined;
  #error: ShoalError | undefined;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(onLeave: () => void, signal?: AbortSignal) {
    this.#onLeave = onLeave;
    this.#signal = signal;
  }

  /** Begins to watch the signal: call it once the request can be aborted. */
  watch(): void {
    if (this.#signal?.aborted) this.#onLeave();
    else this.#signal?.addEventListener('abort', this.#onLeave, { once: true });
  }

  tokens(event: TokensEvent): void {
    const last = this.#tokens.at(-1);
    if (last === undefined || last.choice !== event.choice) {
      this.#tokens.push(ownTokens(event));
    } else {
      extendTokens(last, event);
    }
    this.#notify();
  }

  finish(event: FinishedEvent): void {
    this.#finished = event;
    this.#signal?.removeEventListener('abort', this.#onLeave);
    this.#notify();
  }

  fail(error: ShoalError): void {
    this.#error = error;
    this.#signal?.removeEventListener('abort', this.#onLeave);
    this.#notify();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<EngineEvent, undefined>> {
    while (!this.#ended) {
      const event = this.#take();
      if (event !== undefined) return { done: false, value: event };
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return { done: true, value: undefined };
  }

  async return(): Promise<IteratorResult<EngineEvent, undefined>> {
    if (!this.#ended) {
      this.#ended = true;
      this.#onLeave();
      this.#notify();
    }
    return { done: true, value: undefined };
  }

  /** The next event, if there is one. Throws the failure once what came before it is read. */
  #take(): EngineEvent | undefined {
    const tokens = this.#tokens.shift();
    if (tokens !== undefined) return tokens;
    if (this.#error !== undefined) {
      this.#ended = true;
      throw this.#error;
    }
    if (this.#finished !== undefined) this.#ended = true;
    return this.#finished;
  }

  #notify(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}
