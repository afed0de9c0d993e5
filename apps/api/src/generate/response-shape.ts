import type { GenerateResult, Usage } from '@shoal/protocol';

/** What all parts of one response say of it. */
export interface ResponseMeta {
  /** The request's id; the response's is `<prefix>-<id>`. */
  id: string;
  /** Unix time in seconds. */
  created: number;
  model: string;
  /** Changes when the answers may: model revision and execution provider. */
  fingerprint: string;
}

/** One finished choice. */
export interface Answer {
  index: number;
  jobId: string;
  result: GenerateResult;
}

/** How an endpoint words its answers. Pure: the same answers give the same JSON. */
export interface ResponseShape {
  whole(meta: ResponseMeta, answers: readonly Answer[]): object;
  /** First chunk of a choice, where the endpoint has one. */
  opening?(meta: ResponseMeta, index: number): object;
  delta(meta: ResponseMeta, index: number, text: string): object;
  finish(meta: ResponseMeta, answer: Answer): object;
  /** Last chunk, when the caller asked for the token counts of a stream. */
  usage(meta: ResponseMeta, answers: readonly Answer[]): object;
}

/** OpenAI's `usage`, over all choices. */
export function usageOf(answers: readonly Answer[]): object {
  const sum = (field: keyof Usage): number => answers.reduce((total, { result }) => total + result.usage[field], 0);
  const prompt = sum('promptTokens');
  const completion = sum('completionTokens');
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}

/** Shoal's own part of an answer: which job it was, and in what company it ran. Times are Unix milliseconds. */
export function rideOf(jobId: string, { ride, seed, timings }: GenerateResult): object {
  return {
    job_id: jobId,
    worker: ride.worker,
    batch: { id: ride.batchId, size: ride.batchSize },
    seed,
    timings: {
      queued_at: timings.queuedAt,
      claimed_at: timings.claimedAt,
      started_at: timings.startedAt,
      first_token_at: timings.firstTokenAt,
      finished_at: timings.finishedAt,
    },
  };
}
