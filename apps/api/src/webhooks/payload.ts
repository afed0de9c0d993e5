import type { JobStatus } from '@shoal/protocol';
import type { JobView, WebhookCall } from '@shoal/queue';
import { jobJson } from '../generate/job-shape.ts';

/** A larger result is left out; it can be fetched. */
const MOST_BYTES = 256 * 1024;

/**
 * What a webhook is told: `job.completed`, `job.failed`, `job.cancelled` or `job.expired`, when, and the job as
 * `GET /v1/jobs/:id` shows it. The same at every attempt.
 *
 * @param view `undefined` when the job is no longer kept
 */
export function payloadOf(call: WebhookCall, view: JobView | undefined, model: string): string {
  const status = statusOf(call);
  const ended = { id: call.jobId, status, queuedAt: view?.queuedAt ?? call.endedAt, finishedAt: call.endedAt };
  const known = view === undefined ? undefined : { ...view, ...ended };
  const job: JobView = known ?? { ...ended, attempts: 0, ...(call.error === undefined ? {} : { error: call.error }) };
  const { webhook: _, ...told } = job;
  const body = bodyOf(status, call, jobJson(told, model));
  if (Buffer.byteLength(body) <= MOST_BYTES) return body;
  const { result: __, ...short } = told;
  return bodyOf(status, call, { ...jobJson(short, model), result_omitted: true });
}

/** Stable over all attempts: receivers tell by it what they know already. */
export function webhookId({ jobId, endedAt }: WebhookCall): string {
  return `msg_${jobId}_${endedAt}`;
}

function bodyOf(status: JobStatus, { endedAt }: WebhookCall, data: object): string {
  return JSON.stringify({ type: `job.${status}`, timestamp: new Date(endedAt).toISOString(), data });
}

function statusOf({ outcome, error }: WebhookCall): JobStatus {
  if (outcome === 'completed') return 'completed';
  if (error?.code === 'cancelled') return 'cancelled';
  return error?.code === 'deadline_exceeded' ? 'expired' : 'failed';
}
