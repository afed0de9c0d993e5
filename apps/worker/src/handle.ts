import type { EngineRequest, FinishedEvent, GenerationEngine } from '@shoal/engine';
import { type ErrorBody, type GenerateResult, type ResumeLabel, ShoalError } from '@shoal/protocol';
import type { ClaimedJob } from '@shoal/queue';
import { type ResumeMode, resumesOf, runMark, wholeLogprobs } from './resumption.ts';

export interface HandleOptions {
  /** This worker's id. */
  worker: string;
  /** `RESUME`. */
  resume: ResumeMode;
  /** A job that another claim began goes on here. */
  onResumed?: (label: ResumeLabel) => void;
}

/** Runs one claimed job through the engine and ends it, whatever happens. Never throws. */
export async function handle(job: ClaimedJob, engine: GenerationEngine, options: HandleOptions): Promise<void> {
  const run = runMark(engine.model, job.logged, options.resume);
  const resumes = resumesOf(job.logged, run);
  if (resumes !== undefined) options.onResumed?.(resumes.label);
  let marked = false;
  try {
    for await (const event of engine.generate(toEngineRequest(job, options.resume), job.signal)) {
      if (event.type === 'tokens') {
        job.append(marked ? event : { ...event, run });
        marked ||= event.tokenIds.length > 0;
      } else if (event.finishReason === 'abort') {
        await job.fail(abortError(job.signal));
      } else {
        await job.complete({ ...toResult(job, event, options.worker), numerics: run.numerics, resumes });
      }
    }
  } catch (error) {
    await job.fail(toErrorBody(error));
  }
}

/** A job that another worker began continues from what it logged. */
function toEngineRequest({ id, request, logged, queuedAt }: ClaimedJob, mode: ResumeMode): EngineRequest {
  // Whoever goes on with the job must render the prompt that it was begun with, also on another day.
  const { prompt, messages, askedAt = queuedAt, chatTemplateKwargs, promptTokenIds, params, tenant, echo } = request;
  const { tokenIds, choices } = logged;
  const resumeFrom = tokenIds.length === 0 ? undefined : { tokenIds, choices, fast: mode === 'fast' };
  const asked = { prompt, messages, askedAt, chatTemplateKwargs, promptTokenIds, params, tenant, echo };
  return { id, ...asked, resumeFrom };
}

function toResult(job: ClaimedJob, event: FinishedEvent, worker: string): GenerateResult {
  return {
    v: 1,
    text: event.text,
    tokenIds: event.tokenIds,
    finishReason: event.finishReason,
    ...wholeLogprobs(event, job.logged),
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
