import type { ChoiceResult, ChosenLogprob, GenerateResult, Usage } from '@shoal/protocol';

/** What all parts of one response say of it. */
export interface ResponseMeta {
  /** The request's id; the response's is `<prefix>-<id>`. */
  id: string;
  /** Unix time in seconds. */
  created: number;
  model: string;
  /** Changes when the answers may; see {@link systemFingerprint}. */
  fingerprint: string;
}

/** One finished job: the answers to one prompt. */
export interface Answer {
  jobId: string;
  /** Index of its first choice in the response. */
  first: number;
  /** Text that goes before each of its answers. */
  echo: string;
  result: GenerateResult;
}

/** One finished choice. */
export interface Choice extends ChoiceResult {
  index: number;
  answer: Answer;
}

/** More of a choice, as it comes. */
export interface Piece {
  text: string;
  logprobs: readonly ChosenLogprob[];
  /** Characters of the choice's tokens before this piece. */
  offset: number;
}

/** A response, or one chunk of a stream. What is `undefined` is not part of its JSON. */
export interface ResponseJson {
  id: string;
  object: string;
  created: number;
  model: string;
  system_fingerprint: string;
  choices: readonly object[];
  usage?: object | null | undefined;
  shoal?: object | undefined;
}

/** What not every response has. */
export type ResponseParts = Pick<ResponseJson, 'usage' | 'shoal'>;

/** How an endpoint words its answers. Pure: the same answers give the same JSON. */
export interface ResponseShape {
  whole(meta: ResponseMeta, answers: readonly Answer[]): ResponseJson;
  /** First chunk of a choice, where the endpoint has one. */
  opening?(meta: ResponseMeta, index: number): ResponseJson;
  delta(meta: ResponseMeta, index: number, piece: Piece): ResponseJson;
  finish(meta: ResponseMeta, choice: Choice): ResponseJson;
  /** Last chunk, when the caller asked for the token counts of a stream. */
  usage(meta: ResponseMeta, answers: readonly Answer[]): ResponseJson;
}

/** OpenAI's `system_fingerprint`, from the numerics fingerprint of a worker: model files, dtype, provider, processor. */
export function systemFingerprint(numerics: string): string {
  return `fp_${numerics}`;
}

/** The choices of one job. */
export function choicesOf(answer: Answer): Choice[] {
  const choices = answer.result.choices ?? [answer.result];
  return choices.map(({ text, tokenIds, finishReason, logprobs }, index) => ({
    index: answer.first + index,
    answer,
    text: answer.echo + text,
    tokenIds,
    finishReason,
    logprobs,
  }));
}

/** OpenAI's `usage`, over all jobs. */
export function usageOf(answers: readonly Answer[]): object {
  const sum = (field: keyof Usage): number => answers.reduce((total, { result }) => total + result.usage[field], 0);
  const prompt = sum('promptTokens');
  const completion = sum('completionTokens');
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}

/** Shoal's part of a response: beside the response where it was one job, beside each choice where there were several. */
export function ridesOf(answers: readonly Answer[]): {
  response: object | undefined;
  choice: (choice: Choice) => object | undefined;
} {
  const [only] = answers;
  if (answers.length === 1 && only !== undefined) return { response: rideOf(only), choice: () => undefined };
  return { response: undefined, choice: ({ answer }) => rideOf(answer) };
}

/** Which job it was, and in what company it ran. Times are Unix milliseconds. */
export function rideOf({ jobId, result }: Pick<Answer, 'jobId' | 'result'>): object {
  const { ride, seed, timings, numerics, resumes } = result;
  return {
    job_id: jobId,
    worker: ride.worker,
    batch: { id: ride.batchId, size: ride.batchSize },
    numerics,
    resumes,
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
