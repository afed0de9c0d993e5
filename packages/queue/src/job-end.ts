import { type ErrorBody, ErrorBodySchema, GenerateResult, type JobStatus, type RequestEvent } from '@shoal/protocol';
import { cancelledByCaller, deadlineExceeded } from './held-job.ts';
import { parseJson } from './parse-json.ts';

/** Reads what a failed job stores as its reason: an ErrorBody as JSON, or the text of some other BullMQ worker. */
export function errorOf(failedReason: string): ErrorBody {
  const body = ErrorBodySchema.safeParse(parseJson(failedReason));
  if (body.success) return body.data;
  return { code: 'inference_error', message: failedReason.slice(0, 500) || 'the job failed without a reason' };
}

/** The error of a request that left a shared generation by itself. */
export function endOfRecord(status: 'cancelled' | 'expired'): ErrorBody {
  return (status === 'cancelled' ? cancelledByCaller() : deadlineExceeded()).toBody();
}

/** What became of a request: of failures, cancelled and expired ones are told apart by their error. */
export function statusOf(
  state: 'queued' | 'running' | 'completed' | 'failed',
  error: ErrorBody | undefined,
): JobStatus {
  if (error?.code === 'cancelled') return 'cancelled';
  if (error?.code === 'deadline_exceeded') return 'expired';
  return state;
}

/** The last event of a request whose job holds this result. */
export function completedEvent(returnvalue: string): RequestEvent {
  const result = GenerateResult.safeParse(parseJson(returnvalue));
  if (result.success) return { type: 'completed', result: result.data };
  const error: ErrorBody = { code: 'inference_error', message: 'the stored result is not a GenerateResult' };
  return { type: 'failed', error };
}
