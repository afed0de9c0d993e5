import type { JobStatus } from '@shoal/protocol';
import { type JobView, statusOf, type WebhookCall } from '@shoal/queue';
import { jobJson } from '../generate/job-shape.ts';

/** A larger result is left out; it can be fetched while it is kept. */
const MOST_BYTES = 256 * 1024;

/**
 * What a webhook is told: `job.completed`, `job.failed`, `job.cancelled` or `job.expired`, when, and the job as
 * `GET /v1/jobs/:id` shows it: the same at every attempt while the job is kept. After that, a completed one comes
 * without its result, and says so (`result_omitted`).
 *
 * @param view `undefined` when the job is no longer kept
 */
export function payloadOf(call: WebhookCall, view: JobView | undefined, model: string): string {
  const status = statusOf(call.outcome, call.error);
  const ended = { id: call.jobId, status, queuedAt: view?.queuedAt ?? call.endedAt, finishedAt: call.endedAt };
  const known = view === undefined ? undefined : { ...view, ...ended };
  const job: JobView = known ?? { ...ended, attempts: 0, ...(call.error === undefined ? {} : { error: call.error }) };
  const { webhook: _, ...told } = job;
  const isWhole = status !== 'completed' || told.result !== undefined;
  const body = bodyOf(status, call, jobJson(told, model));
  if (isWhole && Buffer.byteLength(body) <= MOST_BYTES) return body;
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
