import { z } from 'zod';

/** Why generation ended. A failure is an ErrorCode, never a finish reason. */
export type FinishReason = 'stop' | 'length' | 'abort';

export interface Usage {
  promptTokens: number;
  /** Tokens sampled, the end-of-sequence token included. */
  completionTokens: number;
}

/** Milliseconds since the Unix epoch, by the clock named. */
export interface Timings {
  /** The job was added (Redis). */
  queuedAt: number;
  /** A worker claimed it (worker). */
  claimedAt: number;
  /** Its prefill began (worker). */
  startedAt: number;
  /** Its first token was sampled (worker). */
  firstTokenAt: number;
  /** Its last token was sampled (worker). */
  finishedAt: number;
}

/** In what company the request ran: enough to see batching happen. */
export interface RideRecord {
  /** The worker that finished it. */
  worker: string;
  /** The batch in which it was prefilled, unique with `worker`. */
  batchId: number;
  /** Sequences in that batch, 1 … MAX_BATCH_SIZE. */
  batchSize: number;
}

/** What computed a stretch of the token log. */
export interface RunMark {
  /** Numerics fingerprint: model files, dtype, provider, runtime, processor. Equal ones compute equal bits, if `exact`. */
  numerics: string;
  /** True when probes at load time showed that company does not change a row's bits, and nothing was resumed `fast`. */
  exact: boolean;
}

/**
 * How often a request went on from its token log, and what that means for its answer: `identical`, byte for byte what
 * an undisturbed run gives; `continued`, the same model's (or a later revision's), but not promised to be the same.
 */
export interface Resumes {
  /** Resumes after which something was generated, and the last one; ≥ 1. */
  count: number;
  label: ResumeLabel;
}

export type ResumeLabel = 'identical' | 'continued';

/** A token and the natural logarithm of its probability under the model, before temperature, penalties and bias. */
export interface TokenLogprob {
  tokenId: number;
  /** What the token writes at its place; '' for a special one, U+FFFD where it is only part of a character. */
  text: string;
  logprob: number;
}

/** The token that was chosen, and the most likely ones at its place, most likely first. */
export interface ChosenLogprob extends TokenLogprob {
  top: TokenLogprob[];
}

/** One of several answers to one prompt. */
export interface ChoiceResult {
  text: string;
  tokenIds: number[];
  finishReason: FinishReason;
  logprobs?: ChosenLogprob[] | undefined;
}

/** A job's return value: readable in Bull Board and by any BullMQ client. */
export interface GenerateResult {
  v: 1;
  text: string;
  /** Every token sampled, the end-of-sequence token that ended it included. */
  tokenIds: number[];
  finishReason: FinishReason;
  /** One per token, where they were asked for. */
  logprobs?: ChosenLogprob[] | undefined;
  /** All answers, the first one included, where more than one was asked for. */
  choices?: ChoiceResult[] | undefined;
  usage: Usage;
  /** The seed that was used, so that the answer can be had again. */
  seed: number;
  timings: Timings;
  ride: RideRecord;
  /** Numerics fingerprint of the run that ended it, see {@link RunMark}. */
  numerics?: string | undefined;
  /** Absent when one worker ran it from beginning to end. */
  resumes?: Resumes | undefined;
}

const fingerprint = z.string().max(64);
export const RunMark: z.ZodType<RunMark, unknown> = z.object({ numerics: fingerprint, exact: z.boolean() });

const count = z.int().min(0);
const tokenLogprob = z.object({ tokenId: count, text: z.string(), logprob: z.number() });
export const ChosenLogprob: z.ZodType<ChosenLogprob, unknown> = tokenLogprob.extend({ top: z.array(tokenLogprob) });
const choice = z.object({
  text: z.string(),
  tokenIds: z.array(count),
  finishReason: z.enum(['stop', 'length', 'abort']),
  logprobs: z.array(ChosenLogprob).optional(),
});
const timestamp = z.number().min(0);

export const GenerateResult: z.ZodType<GenerateResult, unknown> = z.object({
  v: z.literal(1),
  text: z.string(),
  tokenIds: z.array(count),
  finishReason: z.enum(['stop', 'length', 'abort']),
  logprobs: z.array(ChosenLogprob).optional(),
  choices: z.array(choice).optional(),
  usage: z.object({ promptTokens: count, completionTokens: count }),
  seed: count,
  timings: z.object({
    queuedAt: timestamp,
    claimedAt: timestamp,
    startedAt: timestamp,
    firstTokenAt: timestamp,
    finishedAt: timestamp,
  }),
  ride: z.object({ worker: z.string(), batchId: count, batchSize: z.int().min(1) }),
  numerics: fingerprint.optional(),
  resumes: z.object({ count: z.int().min(1), label: z.enum(['identical', 'continued']) }).optional(),
});
