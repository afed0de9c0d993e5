import type { RequestEvent } from '@shoal/protocol';
import type { Job, QueueState } from './job.ts';
import type { CheckedRequest, ShoalRequest } from './request.ts';

/**
 * One way to reach Shoal. Every call is one attempt in bounded time and rejects with a `ShoalError`; trying again is
 * the client's affair. A read whose signal is aborted holds on to nothing that keeps the process alive for long.
 */
export interface Transport {
  /** `key` is the submission's own: with the same key, a repeated submission is one job. */
  submit(request: CheckedRequest, key: string): Promise<Job>;
  /** Rejects with `job_not_found`. */
  job(id: string, signal?: AbortSignal): Promise<Job>;
  /** What it was asked; rejects with `job_not_found`. */
  request(id: string, signal?: AbortSignal): Promise<ShoalRequest>;
  /** Asks for the end of a job; rejects with `job_not_found`. One that runs stops at its worker's next step. */
  cancel(id: string, signal?: AbortSignal): Promise<Job>;
  /**
   * The job's events from a position of its token log on. May end before the terminal event, or reject with
   * `unavailable`, when the connection breaks; ends when the signal is aborted.
   */
  follow(id: string, position: number, signal: AbortSignal): AsyncIterable<RequestEvent>;
  queues(signal?: AbortSignal): Promise<QueueState[]>;
  close(): Promise<void>;
}
