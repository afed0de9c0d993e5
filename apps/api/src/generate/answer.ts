import { type GenerateResult, type RequestEvent, ShoalError, type TokensEvent } from '@shoal/protocol';
import { reasonOf } from './request-scope.ts';
import type { SubmittedJob } from './submission.ts';

/**
 * Follows a job to its end and returns the result, handing each tokens event to `onTokens` on the way. Throws the job's
 * failure, or the scope's reason when it was aborted first.
 */
export async function followJob(
  job: SubmittedJob,
  signal: AbortSignal,
  onTokens: (event: TokensEvent) => void | Promise<void>,
): Promise<GenerateResult> {
  for await (const event of untilAborted(job.events, signal)) {
    if (event.type === 'tokens') await onTokens(event);
    else if (event.type === 'completed') return event.result;
    else throw ShoalError.fromBody(event.error);
  }
  throw reasonOf(signal);
}

/** The events until the signal is aborted; whether the source then ends or rejects makes no difference. */
async function* untilAborted(events: AsyncIterable<RequestEvent>, signal: AbortSignal): AsyncGenerator<RequestEvent> {
  try {
    for await (const event of events) {
      if (signal.aborted) return;
      yield event;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
