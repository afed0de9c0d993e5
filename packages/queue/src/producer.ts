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
  /** The request was checked already, field by field. Default false. */
  checked?: boolean;
  /** Enters the request in its tenant's list of jobs. Default false. */
  listed?: boolean;
  /** Told of the request's end, at least once: see `WebhookOutbox`. Not together with `sharingKey`. */
  webhookUrl?: string;
}

/** A place in a list of jobs, newest first: behind the job that was shown last. */
export interface ListPlace {
  /** When that job was entered, Unix milliseconds. */
  at: number;
  /** Its id, where it is a job of this model. */
  id?: string;
  /** True when this model's jobs of the very same time were shown already. */
  shown?: boolean;
}

export interface ListOptions {
  /** Whose jobs; absent: those that belong to no tenant. */
  tenant?: string | undefined;
  after?: ListPlace | undefined;
  /** Most jobs, 1 … 100. */
  limit: number;
}

export interface ListedJob {
  /** When it was entered, Unix milliseconds. */
  at: number;
  /** Without its result, and without what its request says: `tenant`, `fingerprint`. */
  view: JobView;
}

/** How far the call that tells of a job's end has come. */
export interface WebhookView {
  /** `waiting` for the job to end; `pending`: to be tried, or tried again; `failed`: given up. */
  state: 'waiting' | 'pending' | 'delivered' | 'failed';
  attempts: number;
  /** Why the last attempt failed, if it did. */
  lastError?: string;
}

/** Where a new job of a list stands, when it was put on the queue. */
export interface Accepted {
  /** It was submitted before: nothing was added. */
  again?: true;
  /** Jobs ahead of it. */
  position?: number;
  /** Milliseconds until a worker is expected to take it. */
  estimatedWaitMs?: number;
}

export interface QueueDepth {
  /** Jobs that no worker has yet. */
  waiting: number;
  /** Jobs that a worker holds. */
  running: number;
}

/** All that a queue holds. */
export interface QueueState {
  /** While it is, no worker claims. */
  paused: boolean;
  /** Jobs that no worker has yet, by priority 0 … 9. */
  waiting: number[];
  /** Waiting jobs whose worker died while it ran them: they run apart from others. */
  suspects: number;
  /** Jobs whose time has not come. */
  delayed: number;
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
  webhook?: WebhookView;
}

/** The side of the queue that services use: one per model. Every call rejects with a `ShoalError`. */
export interface Producer {
  readonly model: string;
  /**
   * Puts a request on the queue; resolves once Redis has it.
   * Errors: `queue_full` at the bound and `queue_wait_too_long` when it would wait too long, or past its deadline (both
   * with retryAfterMs); `deadline_exceeded` when that has passed; `unavailable` when Redis does not answer in time.
   */
  submit(request: GenerateRequest, options: SubmitOptions): Promise<Accepted>;
  view(id: string): Promise<JobView | undefined>;
  /**
   * What a job was asked, seed and time of a chat included, while it is kept; of one that shares a generation, what that
   * was asked.
   */
  request(id: string): Promise<GenerateRequest | undefined>;
  /** Jobs that were submitted as `listed`, newest first; `more` when there are further ones. */
  list(options: ListOptions): Promise<{ jobs: ListedJob[]; more: boolean }>;
  /** A waiting job is removed at once; a running one is stopped by its worker; a finished one stays. */
  cancel(id: string): Promise<'cancelled' | 'stopping' | 'finished' | 'unknown'>;
  /**
   * Takes back what was submitted together with something that is refused: cancels it, takes it off its tenant's list,
   * and tells nobody of its end.
   */
  withdraw(id: string, tenant: string | undefined): Promise<void>;
  depth(): Promise<QueueDepth>;
  inspect(): Promise<QueueState>;
  close(): Promise<void>;
}
