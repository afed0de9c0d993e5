import type { ErrorBody, GenerateResult, JobStatus } from '@shoal/protocol';

/** What is known of one request that was accepted. Times are Unix milliseconds. */
export interface Job {
  id: string;
  model: string;
  status: JobStatus;
  queuedAt: number;
  finishedAt?: number;
  /** How often a worker has taken it. */
  attempts: number;
  /** Jobs ahead of it, while queued and where known. */
  position?: number;
  /** Milliseconds until its turn at the latest rate, while queued and where known. */
  estimatedWaitMs?: number;
  result?: GenerateResult;
  error?: ErrorBody;
  /** How far its webhook has come, if it has one: `waiting` for the end; `failed`: given up. */
  webhook?: { state: 'waiting' | 'pending' | 'delivered' | 'failed'; attempts: number; lastError?: string };
}

/** A served model and how busy its queue is. */
export interface QueueState {
  model: string;
  /** Workers heard of lately; with 0, requests wait for one. */
  workers: number;
  /** Most tokens of prompt and answer together. */
  maxModelLen: number;
  /** True when the model takes `messages`. */
  chat: boolean;
  /** Jobs that no worker has yet; absent where it is not told. */
  waiting?: number;
  /** Jobs that a worker holds; absent where it is not told. */
  running?: number;
}
