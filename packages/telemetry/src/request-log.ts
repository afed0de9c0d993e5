import { ERROR_TABLE } from '@shoal/protocol';
import type { ClaimedJob } from '@shoal/queue';
import type { Logger } from './logger.ts';
import type { JobListener } from './watch-job.ts';

/**
 * Whether the request of this job gets its log line: the same share of ids everywhere, so that API and worker log the
 * same requests (FNV-1a).
 */
export function isLogged(id: string, share: number): boolean {
  if (share >= 1) return true;
  let hash = 0x811c9dc5;
  for (let at = 0; at < id.length; at++) hash = Math.imul(hash ^ id.charCodeAt(at), 0x01000193);
  return (hash >>> 0) / 2 ** 32 < share;
}

/** One line at a job's end. Failures for reasons of ours are warnings, and always logged. */
export function logJob(
  logger: Pick<Logger, 'info' | 'warn'>,
  job: ClaimedJob,
  options: { share: number; traceId: string | undefined },
): JobListener {
  const sampled = isLogged(job.id, options.share);
  const line = (outcome: string, more: object): object => ({
    jobId: job.id,
    ...(options.traceId === undefined ? {} : { traceId: options.traceId }),
    ...(job.request.tenant === undefined ? {} : { tenant: job.request.tenant }),
    outcome,
    queueMs: Math.max(0, job.claimedAt - job.queuedAt),
    ms: Math.max(0, Date.now() - job.queuedAt),
    ...more,
  });
  return {
    completed({ finishReason, usage, ride, resumes }) {
      if (!sampled) return;
      const { promptTokens, completionTokens } = usage;
      const { batchSize } = ride;
      logger.info(line('completed', { finishReason, promptTokens, completionTokens, batchSize, resumes }), 'request');
    },
    failed({ code }) {
      if (ERROR_TABLE[code].status >= 500) logger.warn(line('failed', { code }), 'request');
      else if (sampled) logger.info(line('failed', { code }), 'request');
    },
    handedBack() {
      logger.info(line('handed-back', {}), 'request');
    },
  };
}
