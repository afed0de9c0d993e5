import type {
  ChosenLogprob,
  ErrorBody,
  ErrorCode,
  GenerateRequest,
  GenerateResult,
  RunMark,
  TokensEvent,
} from '@shoal/protocol';

/** What a request has generated so far, under earlier claims. */
export interface LoggedTokens {
  tokenIds: number[];
  /** The text that those tokens completed; with several choices, all their texts in the order of the log. */
  text: string;
  /** The choice that each token belongs to; absent: all to choice 0. */
  choices?: number[];
  /** One per token, where the request asked for them and the log has all of them. */
  logprobs?: ChosenLogprob[];
  /** Who generated them, in order; absent where the log's first tokens do not say. */
  runs?: RunMark[];
}

/**
 * A job that this worker holds under a lock token. Exactly one of `complete`, `fail` and `handBack` ends it; after
 * that, or once the lock is lost, every other call is ignored.
 */
export interface ClaimedJob {
  readonly id: string;
  readonly request: GenerateRequest;
  /** 0 highest … 9 lowest. */
  readonly priority: number;
  /** Unix times in milliseconds: added to the queue (its producer's clock), claimed (this worker's). */
  readonly queuedAt: number;
  readonly claimedAt: number;
  /**
   * What the token log held at the claim; empty for a fresh request. Whoever resumes appends from
   * `logged.tokenIds.length` on; whoever starts again may append from 0, and what the log has is skipped.
   */
  readonly logged: LoggedTokens;
  /** What the producer said of its trace: BullMQ's `opts.telemetry.metadata`, W3C headers as JSON; unchecked. */
  readonly traceContext?: string | undefined;
  /** Aborted when the request is cancelled, its deadline passes, or the lock is lost. */
  readonly signal: AbortSignal;
  /** Sends tokens to the token log and to all readers. Never waits; bounded and in order. */
  append(event: TokensEvent): void;
  /** Writes the result, tells the readers, finishes the job. */
  complete(result: GenerateResult): Promise<void>;
  /** Fails the job for good and tells the readers. */
  fail(error: ErrorBody): Promise<void>;
  /** Returns the job to the queue, ahead of new ones, for another worker. Spends no attempt. */
  handBack(): Promise<void>;
}

export type ConsumerFact =
  | {
      type: 'claimed';
      jobId: string;
      queueMs: number;
      redelivered: boolean;
      resumedTokens: number;
      /** What the wait was predicted to be at submission, in milliseconds; absent where it was not. */
      predictedMs?: number;
    }
  | {
      type: 'finished';
      jobId: string;
      outcome: 'completed' | 'failed' | 'handed-back' | 'lost';
      /** Why it failed, if it did. */
      code?: ErrorCode | undefined;
      /** From its addition to the queue to this end, ms; absent for a job that was turned away or given up. */
      totalMs?: number;
    }
  | { type: 'emit'; jobs: number; tokens: number; durationMs: number }
  /** Jobs of workers that died, back on the queue. */
  | { type: 'recovered'; jobIds: string[] }
  | { type: 'error'; message: string };

/** Pulls jobs of one model's queue in bulk: never more at once than its capacity. */
export interface Consumer {
  /** Begins to claim; `handle` is called once per job and never throws. */
  start(handle: (job: ClaimedJob) => void): void;
  /** Stops claiming; jobs already held go on. */
  pause(): void;
  /** Holds at most so many jobs from now on; what is held already goes on. */
  resize(capacity: number): void;
  /** Jobs held now. */
  readonly held: number;
  observe(listener: (fact: ConsumerFact) => void): () => void;
  /** Stops claiming, waits until held jobs have ended (at most `timeoutMs`), hands the rest back, disconnects. */
  close(options: { timeoutMs: number }): Promise<void>;
}
