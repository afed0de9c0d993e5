import { type Attributes, ROOT_CONTEXT, type Span, SpanKind, type Tracer } from '@opentelemetry/api';
import type { EngineFact } from '@shoal/engine';
import type { JobSpans } from './job-spans.ts';

/** Steps after which a batch that never empties gets a new span: spans stay bounded, and arrive while it runs. */
const MOST_STEPS = 64;
const KIND = 'shoal.batch.window';

/** True for the attributes that every batch span begins with. */
export function isBatchSpan(attributes: Attributes): boolean {
  return KIND in attributes;
}

/** A stretch of steps. */
interface Window {
  span: Span | undefined;
  readonly startedAt: number;
  readonly requests: Set<string>;
  steps: { prefill: number; decode: number };
  tokens: number;
  paddingTokens: number;
  largest: number;
}

/**
 * Spans of batches, each in a trace of its own with a link to every request that rode in it, from the engine's facts.
 * A span lasts until nothing rides any more, and at most 64 steps: with static batching that is a batch (or a part of a
 * long one), with continuous batching, where sequences join and leave at every step, a stretch of one. A stretch in
 * which no request is recorded has none.
 */
export class BatchSpans {
  readonly #tracer: Tracer;
  readonly #of: { model: string; worker: string; jobs: JobSpans };
  readonly #now: () => number;
  /** Answers of each request that ride now. */
  readonly #riding = new Map<string, number>();
  #window: Window | undefined;
  #windows = 0;

  /** `now` is Unix milliseconds. */
  constructor(tracer: Tracer, of: { model: string; worker: string; jobs: JobSpans }, now: () => number = Date.now) {
    this.#tracer = tracer;
    this.#of = of;
    this.#now = now;
  }

  record(fact: EngineFact): void {
    switch (fact.type) {
      case 'joined':
        this.#riding.set(fact.requestId, (this.#riding.get(fact.requestId) ?? 0) + 1);
        this.#ride(this.#open(), fact.requestId);
        return;
      case 'left':
        this.#leave(fact.requestId);
        return;
      case 'step':
        this.#step(fact);
        return;
      default:
        return;
    }
  }

  #open(startedAt: number = this.#now()): Window {
    if (this.#window !== undefined) return this.#window;
    const steps = { prefill: 0, decode: 0 };
    const empty = { requests: new Set<string>(), steps, tokens: 0, paddingTokens: 0, largest: 0 };
    this.#window = { span: undefined, startedAt, ...empty };
    this.#windows += 1;
    for (const requestId of this.#riding.keys()) this.#ride(this.#window, requestId);
    return this.#window;
  }

  /** Links request and batch to one another, if the request is recorded. */
  #ride(window: Window, requestId: string): void {
    if (window.requests.has(requestId)) return;
    window.requests.add(requestId);
    const request = this.#of.jobs.spanContext(requestId);
    if (request === undefined) return;
    const { model, worker } = this.#of;
    window.span ??= this.#tracer.startSpan(
      `batch ${model}`,
      {
        kind: SpanKind.INTERNAL,
        startTime: window.startedAt,
        attributes: { [KIND]: this.#windows, 'gen_ai.request.model': model, 'shoal.worker.id': worker },
      },
      ROOT_CONTEXT,
    );
    window.span.addLink({ context: request, attributes: { 'messaging.message.id': requestId } });
    this.#of.jobs.joined(requestId, window.span.spanContext());
  }

  #leave(requestId: string): void {
    const answers = (this.#riding.get(requestId) ?? 0) - 1;
    if (answers > 0) this.#riding.set(requestId, answers);
    else this.#riding.delete(requestId);
    if (this.#riding.size === 0) this.#close();
  }

  #step(fact: Extract<EngineFact, { type: 'step' }>): void {
    const window = this.#open(this.#now() - fact.durationMs);
    window.steps[fact.phase] += 1;
    window.tokens += fact.tokens;
    window.paddingTokens += fact.paddingTokens;
    window.largest = Math.max(window.largest, fact.batchSize);
    if (window.steps.prefill + window.steps.decode >= MOST_STEPS) this.#close();
  }

  #close(): void {
    const window = this.#window;
    this.#window = undefined;
    if (window?.span === undefined) return;
    window.span.setAttributes({
      'shoal.batch.requests': window.requests.size,
      'shoal.batch.largest_step': window.largest,
      'shoal.batch.prefill_steps': window.steps.prefill,
      'shoal.batch.decode_steps': window.steps.decode,
      'shoal.batch.tokens': window.tokens,
      'shoal.batch.padding_tokens': window.paddingTokens,
    });
    window.span.end(this.#now());
  }
}
