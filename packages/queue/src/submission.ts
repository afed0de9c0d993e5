import { GenerateRequest, LOWEST_PRIORITY, OpaqueId, ShoalError, WebhookUrl } from '@shoal/protocol';

const LONGEST_RETRY_AFTER_MS = 30_000;
const SHORTEST_RETRY_AFTER_MS = 1_000;

/** The request as it goes on the queue; throws `invalid_request_error` when it is none. */
export function checkRequest(request: GenerateRequest): GenerateRequest {
  const parsed = GenerateRequest.safeParse(request);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new ShoalError('invalid_request_error', issue?.message ?? 'not a GenerateRequest', {
    ...(issue === undefined ? {} : { param: issue.path.join('.') }),
  });
}

export function checkPriority(priority: number): void {
  if (Number.isInteger(priority) && priority >= 0 && priority <= LOWEST_PRIORITY) return;
  const message = `priority must be a whole number from 0 to ${LOWEST_PRIORITY}`;
  throw new ShoalError('invalid_request_error', message, { param: 'priority' });
}

export function checkSharingKey(key: string): void {
  if (OpaqueId.safeParse(key).success) return;
  const message = 'a sharing key must match [A-Za-z0-9_-]{1,64}';
  throw new ShoalError('invalid_request_error', message, { param: 'sharingKey' });
}

/** Throws `invalid_request_error` for a URL that nothing could be sent to, and for one with a shared generation. */
export function checkWebhook(url: string, sharingKey: string): void {
  const parsed = WebhookUrl.safeParse(url);
  const problem = parsed.success ? undefined : parsed.error.issues[0]?.message;
  if (problem === undefined && sharingKey === '') return;
  const message = problem ?? 'a request with a webhook cannot share its generation';
  throw new ShoalError('invalid_request_error', `webhookUrl: ${message}`, { param: 'webhookUrl' });
}

export function tooManyWebhooks(waiting: number): ShoalError {
  const message = `${waiting} webhooks wait to be delivered already; check their receivers, then try again`;
  return new ShoalError('queue_full', message, { retryAfterMs: LONGEST_RETRY_AFTER_MS });
}

/** What of a request its generation needs; deadline, reader and fingerprint are the record's own. */
export function generationOf(request: GenerateRequest): GenerateRequest {
  const { deadline: _, replyTo: __, fingerprint: ___, ...generation } = request;
  return generation;
}

/** When a tenth of the queue will have drained at the measured rate; unknown counts as the longest. */
export function queueFull(waiting: number, perSecond: number, maxQueueSize: number): ShoalError {
  const wait = perSecond > 0 ? (Math.max(1, maxQueueSize / 10) / perSecond) * 1000 : LONGEST_RETRY_AFTER_MS;
  const retryAfterMs = bounded(wait);
  const message = `${waiting} requests wait already, and the queue takes ${maxQueueSize}; try again in ${retryAfterMs} ms`;
  return new ShoalError('queue_full', message, { retryAfterMs });
}

/** @param overMs by how much the wait is too long */
export function waitTooLong(predictedMs: number, overMs: number): ShoalError {
  const retryAfterMs = bounded(overMs);
  const message = `the request would wait about ${predictedMs} ms, longer than it may; try again in ${retryAfterMs} ms`;
  return new ShoalError('queue_wait_too_long', message, { retryAfterMs });
}

function bounded(waitMs: number): number {
  return Math.round(Math.min(Math.max(waitMs, SHORTEST_RETRY_AFTER_MS), LONGEST_RETRY_AFTER_MS));
}
