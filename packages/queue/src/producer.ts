import type { ErrorBody, GenerateRequest, GenerateResult, JobStatus } from '@shoal/protocol';

export interface SubmitOptions {
  /** Request id = job id, `[A-Za-z0-9_-]{1,64}`. */
  id: string;
  /** 0 highest … 9 lowest. */
  priority: number;
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
   * Errors: `queue_full` (with retryAfterMs) at the bound, `unavailable` when Redis does not answer in time.
   */
  submit(request: GenerateRequest, options: SubmitOptions): Promise<void>;
  view(id: string): Promise<JobView | undefined>;
  /** A waiting job is removed at once; a running one is stopped by its worker; a finished one stays. */
  cancel(id: string): Promise<'cancelled' | 'stopping' | 'finished' | 'unknown'>;
  depth(): Promise<QueueDepth>;
  close(): Promise<void>;
}
