import type { RequestEvent } from '@shoal/protocol';

/** What is told of one request, in order, to its terminal event. */
export interface Hearing extends AsyncIterable<RequestEvent> {
  /** Ends the iteration, and nothing else; idempotent. As leaving the loop, or aborting the signal. */
  close(): void;
}

/**
 * The producer's ear: one reply channel per (producer, model), on which everything for its requests arrives.
 */
export interface Replies {
  /** Goes into `GenerateRequest.replyTo`. */
  readonly replyTo: string;
  /**
   * Opens an ear for a request about to be submitted with this `replyTo`; call it before `submit`. Iteration ends
   * after the terminal event; it rejects with `unavailable` when Redis stays away. Leaving the loop, or aborting the
   * signal, closes the ear and nothing else. A reader that falls behind by more than its bounded buffer is re-filled
   * from the token log.
   */
  listen(id: string, signal?: AbortSignal): Hearing;
  /**
   * Joins a request that exists already, from any process: the log from `position` on, then what comes. Rejects with
   * `job_not_found`.
   */
  attach(id: string, options?: { position?: number; signal?: AbortSignal }): Hearing;
  close(): Promise<void>;
}
