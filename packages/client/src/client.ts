import type { GenerateResult } from '@shoal/protocol';
import type { BatchOptions, BatchOutcome } from './batch.ts';
import type { GenerationStream } from './generation-stream.ts';
import type { Job, QueueState } from './job.ts';
import type { ShoalRequest } from './request.ts';

export interface CallOptions {
  /** Ends the call with `cancelled`. */
  signal?: AbortSignal | undefined;
}

/**
 * What a service can ask of Shoal, the same over HTTP and over Redis. Every failure is a `ShoalError`. Refusals and
 * outages that may pass are retried a bounded number of times, after `retryAfterMs` where one is told; a submission
 * that is repeated remains one job.
 */
export interface ShoalClient {
  /** The whole answer. Aborting cancels the job. */
  generate(request: ShoalRequest, options?: CallOptions): Promise<GenerateResult>;
  /**
   * The answer as it comes. Nothing is sent before it is read. A broken connection is resumed where it broke. Leaving
   * the loop, or aborting, cancels the job.
   */
  stream(request: ShoalRequest, options?: CallOptions): GenerationStream;
  /** Puts a request on the queue, and does not wait for the answer. */
  submit(request: ShoalRequest, options?: CallOptions): Promise<Job>;
  /**
   * Runs many requests, a bounded number at a time, and yields what became of each as it ends: a failure is an
   * outcome, not an exception. Leaving the loop, or aborting, cancels those that run, and closes the iterator of the
   * requests.
   */
  submitBatch(
    requests: Iterable<ShoalRequest> | AsyncIterable<ShoalRequest>,
    options?: BatchOptions,
  ): AsyncIterable<BatchOutcome>;
  /** What is known of a job now. Rejects with `job_not_found`. */
  job(id: string, options?: CallOptions): Promise<Job>;
  /**
   * What a job was asked, with the seed that it was given: `generate` gives the same answer again while the model's
   * fingerprint (`GenerateResult.numerics`) is the same. How it was served (priority, deadline, webhook) is left out.
   * Rejects with `job_not_found`.
   */
  request(id: string, options?: CallOptions): Promise<ShoalRequest>;
  /** Waits for a job's end; rejects with its failure. Aborting stops the waiting, not the job. */
  result(id: string, options?: CallOptions): Promise<GenerateResult>;
  /** A job's answer from its first token, then as it comes. Leaving does not cancel the job. */
  follow(id: string, options?: CallOptions): GenerationStream;
  /** Cancels a job and tells what is known of it then; a running one stops at its worker's next step. */
  cancel(id: string, options?: CallOptions): Promise<Job>;
  /** The served models and their queues. */
  queues(options?: CallOptions): Promise<QueueState[]>;
  /** Waits for cancellations that are under way, at most 10 s, then gives up every connection. */
  close(): Promise<void>;
}
