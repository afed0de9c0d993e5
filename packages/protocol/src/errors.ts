/**
 * The one error table. Every failure that crosses a border of Shoal (HTTP, queue, thread) is one of these codes;
 * its HTTP status and whether a client may simply try again follow from the code alone.
 */

export type ErrorCode =
  | 'invalid_request_error'
  | 'context_length_exceeded'
  | 'invalid_api_key'
  | 'model_not_found'
  | 'job_not_found'
  | 'idempotency_conflict'
  | 'payload_too_large'
  | 'queue_full'
  | 'queue_wait_too_long'
  | 'rate_limit_exceeded'
  | 'cancelled'
  | 'worker_lost'
  | 'inference_error'
  | 'unavailable'
  | 'deadline_exceeded';

/** OpenAI's `error.type`, which official clients show beside their typed exceptions. */
export type ErrorType =
  | 'invalid_request_error'
  | 'authentication_error'
  | 'not_found_error'
  | 'rate_limit_error'
  | 'api_error';

export interface ErrorRow {
  /** HTTP status the API answers with. */
  readonly status: number;
  readonly type: ErrorType;
  /** True when the same request may succeed later without being changed. */
  readonly retryable: boolean;
}

export const ERROR_TABLE: Readonly<Record<ErrorCode, ErrorRow>> = {
  invalid_request_error: { status: 400, type: 'invalid_request_error', retryable: false },
  context_length_exceeded: { status: 400, type: 'invalid_request_error', retryable: false },
  invalid_api_key: { status: 401, type: 'authentication_error', retryable: false },
  model_not_found: { status: 404, type: 'not_found_error', retryable: false },
  job_not_found: { status: 404, type: 'not_found_error', retryable: false },
  idempotency_conflict: { status: 409, type: 'invalid_request_error', retryable: false },
  payload_too_large: { status: 413, type: 'invalid_request_error', retryable: false },
  queue_full: { status: 429, type: 'rate_limit_error', retryable: true },
  queue_wait_too_long: { status: 429, type: 'rate_limit_error', retryable: true },
  rate_limit_exceeded: { status: 429, type: 'rate_limit_error', retryable: true },
  cancelled: { status: 499, type: 'api_error', retryable: false },
  worker_lost: { status: 500, type: 'api_error', retryable: true },
  inference_error: { status: 500, type: 'api_error', retryable: true },
  unavailable: { status: 503, type: 'api_error', retryable: true },
  deadline_exceeded: { status: 504, type: 'api_error', retryable: false },
};

export const ERROR_CODES: readonly ErrorCode[] = Object.keys(ERROR_TABLE) as ErrorCode[];

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(ERROR_TABLE, value);
}

/** An error as it travels: on a reply channel, in a job's failure, an HTTP body. Never carries a prompt or a secret. */
export interface ErrorBody {
  readonly code: ErrorCode;
  /** Says what was wrong and what to do about it. */
  readonly message: string;
  /** The request field at fault, in the caller's spelling, if one is. */
  readonly param?: string;
  /** For 429 and 503: milliseconds after which a retry makes sense, at most 30,000. */
  readonly retryAfterMs?: number;
}

/** The exception form of {@link ErrorBody}; the only error type that may reach a caller. */
export class ShoalError extends Error {
  readonly code: ErrorCode;
  readonly param: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: { param?: string; retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ShoalError';
    this.code = code;
    this.param = options.param;
    this.retryAfterMs = options.retryAfterMs;
  }

  get status(): number {
    return ERROR_TABLE[this.code].status;
  }

  get retryable(): boolean {
    return ERROR_TABLE[this.code].retryable;
  }

  toBody(): ErrorBody {
    return {
      code: this.code,
      message: this.message,
      ...(this.param === undefined ? {} : { param: this.param }),
      ...(this.retryAfterMs === undefined ? {} : { retryAfterMs: this.retryAfterMs }),
    };
  }

  static fromBody(body: ErrorBody): ShoalError {
    return new ShoalError(body.code, body.message, {
      ...(body.param === undefined ? {} : { param: body.param }),
      ...(body.retryAfterMs === undefined ? {} : { retryAfterMs: body.retryAfterMs }),
    });
  }
}
