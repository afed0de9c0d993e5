import { type ErrorBody, GenerateRequest, OpaqueId, REQUEST_VERSION } from '@shoal/protocol';
import { z } from 'zod';
import { deadlineExceeded } from './held-job.ts';

/** What to do with a job that was just claimed, whoever put it on the queue. */
export type Admission =
  | { kind: 'run'; request: GenerateRequest }
  | { kind: 'fail'; error: ErrorBody; replyTo: string }
  /** Written by newer code: for a newer worker. */
  | { kind: 'later' };

const Envelope = z.looseObject({ v: z.number().optional(), replyTo: z.unknown().optional() });

/**
 * Parses a job's payload. Garbage fails alone; a newer version waits for a newer worker, but no longer than
 * `maxQueueWaitMs` after it was queued; what is past its deadline is not begun.
 */
export function admitClaim(data: unknown, queuedAt: number, now: number, maxQueueWaitMs: number): Admission {
  const envelope = Envelope.safeParse(data);
  const replyTo = envelope.success ? opaqueOrEmpty(envelope.data.replyTo) : '';
  const version = envelope.success ? envelope.data.v : undefined;
  if (version !== undefined && Number.isInteger(version) && version > REQUEST_VERSION) {
    if (now - queuedAt <= maxQueueWaitMs) return { kind: 'later' };
    return failed(`no worker understood version ${version} of the request within ${maxQueueWaitMs} ms`, 'v', replyTo);
  }
  const parsed = GenerateRequest.safeParse(data);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const where = issue === undefined ? '' : issue.path.join('.');
    return failed(`the job's data is not a GenerateRequest: ${issue?.message ?? 'unreadable'}`, where, replyTo);
  }
  if (parsed.data.deadline !== undefined && parsed.data.deadline <= now) {
    return { kind: 'fail', error: deadlineExceeded().toBody(), replyTo };
  }
  return { kind: 'run', request: parsed.data };
}

function failed(message: string, param: string, replyTo: string): Admission {
  const error: ErrorBody = { code: 'invalid_request_error', message, ...(param === '' ? {} : { param }) };
  return { kind: 'fail', error, replyTo };
}

function opaqueOrEmpty(id: unknown): string {
  const parsed = OpaqueId.safeParse(id);
  return parsed.success ? parsed.data : '';
}
