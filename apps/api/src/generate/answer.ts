import { type GenerateResult, ShoalError, type TokensEvent } from '@shoal/protocol';
import { type RequestScope, reasonOf } from './request-scope.ts';
import type { SubmittedJob } from './submission.ts';

/**
 * Follows a job to its end and returns the result, handing each tokens event to `onTokens` on the way. Throws the job's
 * failure, or the scope's reason when it was aborted first.
 */
export async function followJob(
  job: SubmittedJob,
  scope: RequestScope,
  onTokens: (event: TokensEvent) => void | Promise<void>,
): Promise<GenerateResult> {
  for await (const event of job.events) {
    if (event.type === 'tokens') await onTokens(event);
    else if (event.type === 'completed') return event.result;
    else throw ShoalError.fromBody(event.error);
  }
  // The ear was closed before the end: by the scope.
  throw reasonOf(scope);
}
