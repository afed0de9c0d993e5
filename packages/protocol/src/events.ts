import { z } from 'zod';
import { ERROR_CODES, type ErrorBody, type ErrorCode } from './errors.ts';
import { ChosenLogprob, GenerateResult, RunMark } from './generate-result.ts';

/**
 * What a reader of a request is told, in order: any number of `tokens`, then exactly one `completed` or `failed`.
 * `position` is the length of the token log before the event's tokens: readers merge by it, so that a repeated event
 * is invisible and a gap is noticed.
 */
export type RequestEvent = TokensEvent | CompletedEvent | FailedEvent;

export interface TokensEvent {
  type: 'tokens';
  /** Tokens in the log before these, ≥ 0. */
  position: number;
  tokenIds: number[];
  /**
   * The text that these tokens completed; may be empty while a character or a stop string is undecided. The texts of
   * one choice's events together are its text in the result.
   */
  text: string;
  /**
   * With several tokens: how much of the text is each one's, in UTF-16 code units. Whoever has some of them can tell where
   * the rest begins.
   */
  lengths?: number[] | undefined;
  /**
   * Which of several answers these belong to, 0 …; absent: 0. Positions count the tokens of all of them. Choices
   * take turns: next comes one of the choice with the fewest, the first of those; one that has ended is passed over.
   */
  choice?: number | undefined;
  /** One per token, where they were asked for. */
  logprobs?: ChosenLogprob[] | undefined;
  /** With the first tokens that a worker generates under one claim: what computes them from here on. */
  run?: RunMark | undefined;
  /** At position 0 of a request that asked for its `echo`: the prompt as text, special tokens left out. */
  promptText?: string | undefined;
}

export interface CompletedEvent {
  type: 'completed';
  result: GenerateResult;
}

export interface FailedEvent {
  type: 'failed';
  error: ErrorBody;
}

export const ErrorBodySchema: z.ZodType<ErrorBody, unknown> = z.object({
  code: z.enum(ERROR_CODES as [ErrorCode, ...ErrorCode[]]),
  message: z.string(),
  param: z.string().exactOptional(),
  retryAfterMs: z.number().min(0).exactOptional(),
});

export const TokensEvent: z.ZodType<TokensEvent, unknown> = z.object({
  type: z.literal('tokens'),
  position: z.int().min(0),
  tokenIds: z.array(z.int().min(0)),
  text: z.string(),
  lengths: z.array(z.int().min(0)).optional(),
  choice: z.int().min(0).optional(),
  logprobs: z.array(ChosenLogprob).optional(),
  run: RunMark.optional(),
  promptText: z.string().optional(),
});

export const RequestEvent: z.ZodType<RequestEvent, unknown> = z.union([
  TokensEvent,
  z.object({ type: z.literal('completed'), result: GenerateResult }),
  z.object({ type: z.literal('failed'), error: ErrorBodySchema }),
]);

export function isTerminal(event: RequestEvent): event is CompletedEvent | FailedEvent {
  return event.type !== 'tokens';
}
