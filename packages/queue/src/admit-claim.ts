import { type ErrorBody, GenerateRequest, OpaqueId, REQUEST_VERSION } from '@shoal/protocol';
import { deadlineExceeded } from './held-job.ts';

/** What to do with a job that was just claimed, whoever put it on the queue. */
export type Admission =
  | { kind: 'run'; request: GenerateRequest }
  | { kind: 'fail'; error: ErrorBody; replyTo: string }
  /** Written by newer code: for a newer worker. */
  | { kind: 'later' };

/**
 * Parses a job's payload. Garbage fails alone; a newer version waits for a newer worker, but no longer than
 * `maxQueueWaitMs` after it was queued; what is past its deadline is not begun.
 */
export function admitClaim(data: unknown, queuedAt: number, now: number, maxQueueWaitMs: number): Admission {
  const parsed = GenerateRequest.safeParse(data);
  if (parsed.success) {
    const { deadline, replyTo = '' } = parsed.data;
    if (deadline !== undefined && deadline <= now) {
      return { kind: 'fail', error: deadlineExceeded().toBody(), replyTo };
    }
    return { kind: 'run', request: parsed.data };
  }
  const envelope: { v?: unknown; replyTo?: unknown } = typeof data === 'object' && data !== null ? data : {};
  const { v: version } = envelope;
  const replyTo = opaqueOrEmpty(envelope.replyTo);
  if (typeof version === 'number' && Number.isInteger(version) && version > REQUEST_VERSION) {
    if (now - queuedAt <= maxQueueWaitMs) return { kind: 'later' };
    return failed(`no worker understood version ${version} of the request within ${maxQueueWaitMs} ms`, 'v', replyTo);
  }
  const issue = parsed.error.issues[0];
  const where = issue === undefined ? '' : issue.path.join('.');
  return failed(`the job's data is not a GenerateRequest: ${issue?.message ?? 'unreadable'}`, where, replyTo);
}

function failed(message: string, param: string, replyTo: string): Admission {
  const error: ErrorBody = { code: 'invalid_request_error', message, ...(param === '' ? {} : { param }) };
  return { kind: 'fail', error, replyTo };
}

function opaqueOrEmpty(id: unknown): string {
  const parsed = OpaqueId.safeParse(id);
  return parsed.success ? parsed.data : '';
}
