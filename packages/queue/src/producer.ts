import type { ErrorBody, GenerateRequest, GenerateResult, JobStatus } from '@shoal/protocol';

export interface SubmitOptions {
  /** Request id = job id, `[A-Za-z0-9_-]{1,64}`. */
  id: string;
  /** 0 highest … 9 lowest. */
  priority: number;
  /**
   * Requests with the same key share one generation, or the result that it left: see `sharingKey`. `[A-Za-z0-9_-]{1,64}`.
   * Such a request is a record beside the job: follow it with `Replies.attach` after `submit`. It expires or is cancelled
   * alone; the job takes the best priority among its requests, and stops when none is left.
   */
  sharingKey?: string;
}

export interface QueueDepth {
  /** Jobs that no worker has yet. */
  waiting: number;
  /** Jobs that a worker holds. */
  running: number;
}

/** What the queue knows of one request. */
export interface JobView {
  id: string;
  status: JobStatus;
  /** Unix times in milliseconds. */
  queuedAt: number;
  finishedAt?: number;
  /** Jobs ahead of it while queued. */
  position?: number;
  /** Milliseconds until a worker is expected to take it, while queued; absent when nothing is known. */
  estimatedWaitMs?: number;
  /** Claims so far. */
  attempts: number;
  tenant?: string;
  /** The request's own, if it has one. */
  fingerprint?: string;
  result?: GenerateResult;
  error?: ErrorBody;
}

/** The side of the queue that services use: one per model. Every call rejects with a `ShoalError`. */
export interface Producer {
  readonly model: string;
  /**
   * Puts a request on the queue; resolves once Redis has it.
   * Errors: `queue_full` at the bound and `queue_wait_too_long` when it would wait too long, or past its deadline (both
   * with retryAfterMs); `deadline_exceeded` when that has passed; `unavailable` when Redis does not answer in time.
   */
  submit(request: GenerateRequest, options: SubmitOptions): Promise<void>;
  view(id: string): Promise<JobView | undefined>;
  /** A waiting job is removed at once; a running one is stopped by its worker; a finished one stays. */
  cancel(id: string): Promise<'cancelled' | 'stopping' | 'finished' | 'unknown'>;
  depth(): Promise<QueueDepth>;
  close(): Promise<void>;
}
