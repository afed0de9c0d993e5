import type { ErrorBody, GenerateResult } from '@shoal/protocol';
import type { ClaimedJob } from '@shoal/queue';

/** Who is told how a claimed job ended, as its handler said it. */
export interface JobListener {
  completed(result: GenerateResult): void;
  failed(error: ErrorBody): void;
  handedBack(): void;
}

/** The same job, whose end is also told to the listeners, once. */
export function watchJob(job: ClaimedJob, listeners: readonly JobListener[]): ClaimedJob {
  if (listeners.length === 0) return job;
  let ended = false;
  const tell = (say: (listener: JobListener) => void): void => {
    if (!ended) listeners.forEach(say);
    ended = true;
  };
  // A job that is handed back or lost from outside aborts its handler.
  job.signal.addEventListener('abort', () => {
    if (!(job.signal.reason instanceof Error && 'code' in job.signal.reason)) tell((listener) => listener.handedBack());
  });
  const { id, request, priority, queuedAt, claimedAt, logged, traceContext, signal } = job;
  return {
    ...{ id, request, priority, queuedAt, claimedAt, logged, traceContext, signal },
    append: (event) => job.append(event),
    complete: async (result) => {
      await job.complete(result);
      tell((listener) => listener.completed(result));
    },
    fail: async (error) => {
      await job.fail(error);
      tell((listener) => listener.failed(error));
    },
    handBack: async () => {
      await job.handBack();
      tell((listener) => listener.handedBack());
    },
  };
}
