import { randomUUID } from 'node:crypto';
import { type GenerateResult, isTerminal, type RequestEvent } from '@shoal/protocol';
import { atMost, orAborted, throwIfAborted } from './abort.ts';
import { type BatchOptions, type BatchOutcome, type RunOne, runBatch } from './batch.ts';
import type { CallOptions, ShoalClient } from './client.ts';
import { GenerationStream } from './generation-stream.ts';
import type { Job, QueueState } from './job.ts';
import { type CheckedRequest, checkRequest, type ShoalRequest } from './request.ts';
import { followResumed } from './resume.ts';
import { type RetryPolicy, retrying } from './retry.ts';
import type { Transport } from './transport.ts';

/** Longest that `close` waits, ms: a connection that is dead must not hold up the end of a process. */
const FAREWELL_LIMIT_MS = 10_000;

/** {@link ShoalClient} over any transport: retries, resumes and cancels; the transport only carries. */
export class TransportClient implements ShoalClient {
  readonly #transport: Transport;
  readonly #policy: RetryPolicy;
  readonly #model: string | undefined;
  readonly #farewellLimitMs: number;
  /** Cancellations that nobody waits for. */
  readonly #farewells = new Set<Promise<unknown>>();

  constructor(
    transport: Transport,
    policy: RetryPolicy,
    model: string | undefined,
    farewellLimitMs: number = FAREWELL_LIMIT_MS,
  ) {
    this.#transport = transport;
    this.#policy = policy;
    this.#model = model;
    this.#farewellLimitMs = farewellLimitMs;
  }

  generate(request: ShoalRequest, options: CallOptions = {}): Promise<GenerateResult> {
    return this.stream(request, options).result();
  }

  stream(request: ShoalRequest, options: CallOptions = {}): GenerationStream {
    return new GenerationStream((onAccepted) => this.#generation(request, options.signal, onAccepted));
  }

  async submit(request: ShoalRequest, { signal }: CallOptions = {}): Promise<Job> {
    return await orAborted(this.#submitted(checkRequest(request, this.#model), signal), signal);
  }

  submitBatch(
    requests: Iterable<ShoalRequest> | AsyncIterable<ShoalRequest>,
    options: BatchOptions = {},
  ): AsyncIterable<BatchOutcome> {
    const runOne: RunOne = async (request, signal, told) => {
      const stream = new GenerationStream(() => this.#generation(request, signal, told.accepted));
      for await (const { tokenIds } of stream) told.tokens(tokenIds.length);
      return await stream.result();
    };
    return runBatch(runOne, requests, options);
  }

  job(id: string, { signal }: CallOptions = {}): Promise<Job> {
    return this.#call(signal, () => this.#transport.job(id, signal));
  }

  request(id: string, { signal }: CallOptions = {}): Promise<ShoalRequest> {
    return this.#call(signal, () => this.#transport.request(id, signal));
  }

  result(id: string, options: CallOptions = {}): Promise<GenerateResult> {
    return this.follow(id, options).result();
  }

  follow(id: string, { signal }: CallOptions = {}): GenerationStream {
    return new GenerationStream((onAccepted) => {
      onAccepted(id);
      return this.#events(id, signal);
    });
  }

  cancel(id: string, { signal }: CallOptions = {}): Promise<Job> {
    return this.#call(signal, () => this.#transport.cancel(id, signal));
  }

  queues({ signal }: CallOptions = {}): Promise<QueueState[]> {
    return this.#call(signal, () => this.#transport.queues(signal));
  }

  async close(): Promise<void> {
    await atMost(this.#farewellLimitMs, Promise.allSettled(this.#farewells));
    await this.#transport.close();
  }

  #call<T>(signal: AbortSignal | undefined, attempt: () => Promise<T>): Promise<T> {
    return orAborted(retrying(this.#policy, signal, attempt), signal);
  }

  #submitted(request: CheckedRequest, signal: AbortSignal | undefined): Promise<Job> {
    const key = randomUUID();
    return retrying(this.#policy, signal, () => this.#transport.submit(request, key));
  }

  /** Submits and follows a job that nobody needs once its reader has gone. */
  async *#generation(
    request: ShoalRequest,
    signal: AbortSignal | undefined,
    onAccepted: (id: string) => void,
  ): AsyncGenerator<RequestEvent, void, undefined> {
    const checked = checkRequest(request, this.#model);
    throwIfAborted(signal);
    const left = new AbortController();
    const either = AbortSignal.any([left.signal, ...(signal === undefined ? [] : [signal])]);
    const submission = this.#submitted(checked, either);
    let ended = false;
    // At the abort itself, and not when the reader comes to notice it: by then the client may be closed. Also when the
    // submission is still on its way.
    const onAbort = (): void => {
      if (!ended) this.#leave(submission);
    };
    either.addEventListener('abort', onAbort, { once: true });
    try {
      const { id } = await orAborted(submission, either);
      onAccepted(id);
      for await (const event of followResumed(this.#transport, id, this.#policy, either)) {
        ended = isTerminal(event);
        yield event;
      }
    } finally {
      left.abort();
    }
  }

  async *#events(id: string, signal: AbortSignal | undefined): AsyncGenerator<RequestEvent, void, undefined> {
    const left = new AbortController();
    try {
      const either = AbortSignal.any([left.signal, ...(signal === undefined ? [] : [signal])]);
      yield* followResumed(this.#transport, id, this.#policy, either);
    } finally {
      left.abort();
    }
  }

  /** Best effort: a job that cannot be cancelled ends by itself, or at its deadline. */
  #leave(submission: Promise<Job>): void {
    const farewell = submission
      .then(({ id }) => this.#transport.cancel(id))
      .catch(() => {})
      .finally(() => this.#farewells.delete(farewell));
    this.#farewells.add(farewell);
  }
}
