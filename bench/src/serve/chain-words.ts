/** Keys of a bare chain: a list of jobs, and the stream on which tokens come back. */
export const JOBS = 'jobs';
export const REPLIES = 'replies';

export interface ChainJob {
  readonly id: string;
  readonly prompt: readonly number[];
  readonly maxTokens: number;
}

/** What a worker says of a job. */
export interface ChainReply {
  /** Tokens since the last one. */
  readonly tokens: number;
  /** All tokens of the answer, once it is complete. */
  readonly total?: number;
}
