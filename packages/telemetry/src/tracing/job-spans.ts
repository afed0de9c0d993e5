import {
  type Attributes,
  type Context,
  isSpanContextValid,
  propagation,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import type { GenerateResult } from '@shoal/protocol';
import type { ClaimedJob } from '@shoal/queue';
import type { JobListener } from '../watch-job.ts';

/** Longest carrier that is looked at; W3C's headers are far shorter. */
const LONGEST_CARRIER = 4_096;
/** Batches that one request's span names. */
const MOST_BATCHES = 64;

interface OpenJob {
  readonly span: Span;
  /** Where its child spans hang. */
  readonly inside: Context;
  readonly claimedAt: number;
  batches: number;
}

/**
 * The worker's part of a request's trace, which its producer began (HTTP, @shoal/client, any BullMQ client): one span
 * from the job's addition to its last token, by OpenTelemetry's conventions for generative AI, and in it the wait in the
 * queue, the prefill and the decode. Nothing of what was asked or answered is in them.
 */
export class JobSpans {
  readonly #tracer: Tracer;
  readonly #of: { model: string; worker: string };
  readonly #open = new Map<string, OpenJob>();

  constructor(tracer: Tracer, of: { model: string; worker: string }) {
    this.#tracer = tracer;
    this.#of = of;
  }

  /** Begins the job's span; what the listener is told ends it. */
  begin(job: ClaimedJob): JobListener & { traceId: string } {
    const operation = job.request.messages === undefined ? 'text_completion' : 'chat';
    const parent = parentOf(job.traceContext);
    const { span, inside } = this.#start(parent, `${operation} ${this.#of.model}`, job.queuedAt, {
      kind: SpanKind.CONSUMER,
      attributes: requestAttributes(job, operation, this.#of),
    });
    this.#start(inside, 'queue wait', job.queuedAt, { attributes: { 'shoal.priority': job.priority } }).span.end(
      Math.max(job.queuedAt, job.claimedAt),
    );
    const open: OpenJob = { span, inside, claimedAt: job.claimedAt, batches: 0 };
    this.#open.set(job.id, open);
    return {
      traceId: span.spanContext().traceId,
      completed: (result) => this.#complete(job.id, open, result),
      failed: ({ code }) => this.#end(job.id, open, { 'error.type': code }, code),
      handedBack: () => this.#end(job.id, open, { 'shoal.outcome': 'handed-back' }),
    };
  }

  /** The span of a job that is held now, if it is recorded: for a batch to link to. */
  spanContext(jobId: string): SpanContext | undefined {
    const open = this.#open.get(jobId);
    return open?.span.isRecording() ? open.span.spanContext() : undefined;
  }

  /** A job rides in this batch. */
  joined(jobId: string, batch: SpanContext): void {
    const open = this.#open.get(jobId);
    if (open === undefined || open.batches >= MOST_BATCHES) return;
    open.batches += 1;
    open.span.addLink({ context: batch, attributes: { 'shoal.link': 'batch' } });
  }

  #complete(id: string, open: OpenJob, result: GenerateResult): void {
    const { timings, usage, ride, finishReason, resumes } = result;
    const { claimedAt } = open;
    const started = Math.max(timings.startedAt, claimedAt);
    const firstToken = Math.max(timings.firstTokenAt, started);
    const finished = Math.max(timings.finishedAt, firstToken);
    const prefill = { 'gen_ai.usage.input_tokens': usage.promptTokens };
    this.#start(open.inside, 'engine wait', claimedAt).span.end(started);
    this.#start(open.inside, 'prefill', started, { attributes: prefill }).span.end(firstToken);
    const decode = this.#start(open.inside, 'decode', firstToken, {
      attributes: { 'gen_ai.usage.output_tokens': usage.completionTokens },
    }).span;
    decode.addEvent('first token', firstToken);
    decode.addEvent('last token', finished);
    decode.end(finished);
    this.#end(id, open, {
      'gen_ai.usage.input_tokens': usage.promptTokens,
      'gen_ai.usage.output_tokens': usage.completionTokens,
      'gen_ai.response.finish_reasons': [finishReason],
      'shoal.batch.id': ride.batchId,
      'shoal.batch.size': ride.batchSize,
      ...(resumes === undefined ? {} : { 'shoal.resumes': resumes.count, 'shoal.resume_label': resumes.label }),
    });
  }

  #end(id: string, open: OpenJob, attributes: Attributes, error?: string): void {
    open.span.setAttributes(attributes);
    if (error !== undefined) open.span.setStatus({ code: SpanStatusCode.ERROR, message: error });
    open.span.end();
    if (this.#open.get(id) === open) this.#open.delete(id);
  }

  #start(
    parent: Context,
    name: string,
    startTime: number,
    options: { kind?: SpanKind; attributes?: Attributes } = {},
  ): { span: Span; inside: Context } {
    const span = this.#tracer.startSpan(name, { ...options, startTime }, parent);
    return { span, inside: trace.setSpan(parent, span) };
  }
}

/** The producer's context, from BullMQ's carrier; a carrier that is none begins a trace of its own. */
function parentOf(metadata: string | undefined): Context {
  if (metadata === undefined || metadata.length > LONGEST_CARRIER) return ROOT_CONTEXT;
  try {
    const carrier: unknown = JSON.parse(metadata);
    if (typeof carrier !== 'object' || carrier === null) return ROOT_CONTEXT;
    const parent = propagation.extract(ROOT_CONTEXT, carrier);
    const from = trace.getSpanContext(parent);
    return from !== undefined && isSpanContextValid(from) ? parent : ROOT_CONTEXT;
  } catch {
    return ROOT_CONTEXT;
  }
}

function requestAttributes(
  { id, request: { params }, logged }: ClaimedJob,
  operation: string,
  { model, worker }: { model: string; worker: string },
): Attributes {
  const optional: Attributes = {};
  if (params.maxTokens !== undefined) optional['gen_ai.request.max_tokens'] = params.maxTokens;
  if (params.seed !== undefined) optional['gen_ai.request.seed'] = params.seed;
  if (params.n !== undefined) optional['gen_ai.request.choice.count'] = params.n;
  if (logged.tokenIds.length > 0) optional['shoal.resumed_tokens'] = logged.tokenIds.length;
  return {
    'gen_ai.operation.name': operation,
    'gen_ai.provider.name': 'shoal',
    'gen_ai.request.model': model,
    'gen_ai.response.model': model,
    'gen_ai.response.id': id,
    'gen_ai.request.temperature': params.temperature,
    'gen_ai.request.top_p': params.topP,
    'gen_ai.request.top_k': params.topK,
    'messaging.system': 'bullmq',
    'messaging.operation.type': 'process',
    'messaging.destination.name': model,
    'messaging.message.id': id,
    'shoal.worker.id': worker,
    ...optional,
  };
}
