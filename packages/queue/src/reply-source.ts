import type { RequestEvent } from '@shoal/protocol';
import type { ModelKeys } from './keys.ts';
import { readReply } from './log-entry.ts';

/** Where one producer is told of all its requests of a model. */
export interface ReplySource {
  /** Its name, by which the scripts know how to tell it. */
  readonly replyTo: string;
  /** When Redis last answered it, or told it something, by `performance.now()`: the time of day may be set meanwhile. */
  readonly reachedAt: number;
  /** Resolves when what is told from now on is heard; rejects with `unavailable` within some seconds. */
  open(): Promise<void>;
  /** Something was not told that should have been: makes its connection anew. */
  renew(): void;
  close(): Promise<void>;
}

export interface ReplySourceOptions {
  keys: ModelKeys;
  /** Longest time, in milliseconds, in which it hears from a Redis that is there, even when nothing is told. */
  restMs: number;
  /** `undefined` when what was written for the job cannot be read. */
  onEvents(jobId: string, events: RequestEvent[] | undefined): void;
  /** It hears from now on; before, anything may have been missed. */
  onOpen(): void;
}

/** What a script tells one producer: lines, a job's id and what happened to it in turn. */
export function readTold(text: string, onEvents: ReplySourceOptions['onEvents']): void {
  const lines = text.split('\n');
  for (let at = 0; at + 1 < lines.length; at += 2) onEvents(lines[at] ?? '', readReply(lines[at + 1] ?? ''));
}
