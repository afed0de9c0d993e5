import type { EngineRequest, FinishedEvent, GenerationEngine } from '@shoal/engine';
import { type ErrorBody, type GenerateResult, ShoalError } from '@shoal/protocol';
import type { ClaimedJob } from '@shoal/queue';

/** Runs one claimed job through the engine and ends it, whatever happens. Never throws. */
export async function handle(job: ClaimedJob, engine: GenerationEngine, worker: string): Promise<void> {
  try {
    for await (const event of engine.generate(toEngineRequest(job), job.signal)) {
      if (event.type === 'tokens') job.append(event);
      else if (event.finishReason === 'abort') await job.fail(abortError(job.signal));
      else await job.complete(toResult(job, event, worker));
    }
  } catch (error) {
    await job.fail(toErrorBody(error));
  }
}

/** A job that another worker began continues from what it logged. */
function toEngineRequest({ id, request, logged }: ClaimedJob): EngineRequest {
  const { prompt, messages, promptTokenIds, params, tenant } = request;
  const resumeFrom = logged.tokenIds.length === 0 ? undefined : logged;
  return { id, prompt, messages, promptTokenIds, params, tenant, resumeFrom };
}

function toResult(job: ClaimedJob, event: FinishedEvent, worker: string): GenerateResult {
  return {
    v: 1,
    text: event.text,
    tokenIds: event.tokenIds,
    finishReason: event.finishReason,
    logprobs: event.logprobs,
    choices: event.choices,
    usage: event.usage,
    seed: event.seed,
    timings: {
      queuedAt: job.queuedAt,
      claimedAt: job.claimedAt,
      startedAt: event.startedAt,
      firstTokenAt: event.firstTokenAt,
      finishedAt: event.finishedAt,
    },
    ride: { worker, batchId: event.batchId, batchSize: event.batchSize },
  };
}

/** The queue says why it aborted: cancelled, past its deadline, or taken over by another worker. */
function abortError(signal: AbortSignal): ErrorBody {
  return signal.reason instanceof ShoalError
    ? signal.reason.toBody()
    : { code: 'cancelled', message: 'The request was cancelled.' };
}

function toErrorBody(error: unknown): ErrorBody {
  // Anything but a ShoalError is our own fault; its text may hold a prompt, so it stays here.
  return error instanceof ShoalError
    ? error.toBody()
    : { code: 'inference_error', message: 'The worker failed while running this request; try it again.' };
}
