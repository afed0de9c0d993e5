import { ShoalError } from '@shoal/protocol';
import { z } from 'zod';
import type { LogReading } from './ear.ts';
import { completedEvent, endOfRecord, errorOf } from './job-end.ts';
import { readLogEntry } from './log-entry.ts';
import { MAX_READERS } from './lua/attach.ts';

/** What lua/attach.ts says of one request. */
export interface Attached {
  state: 'missing' | 'open' | 'completed' | 'failed' | 'full' | 'cancelled' | 'expired' | 'error';
  /** Of the token log. */
  length: number;
  /** Result or ErrorBody as JSON, once it has ended; what Redis said, where it cannot be read. */
  value: string;
  entries: string[];
  /** The job that generates for it. */
  jobId: string;
  /** Whether this very look has made, or kept, this process one of the job's readers. */
  joined: boolean;
}

/** What is wanted of a request, see lua/attach.ts. */
export type Wanted = 'log' | 'read' | 'join' | 'look';

const AttachReply = z
  .tuple([
    z.enum(['missing', 'open', 'completed', 'failed', 'full', 'cancelled', 'expired', 'error']),
    z.number(),
    z.string(),
    z.array(z.string()),
    z.string(),
    z.number(),
  ])
  .transform(
    ([state, length, value, entries, jobId, joined]): Attached => ({
      state,
      length,
      value,
      entries,
      jobId,
      joined: joined === 1,
    }),
  );

/** What the script says of the requests `ids`, each for itself: one that cannot be read is an `error` alone. */
export function readAttached(reply: unknown, ids: readonly string[]): Attached[] {
  const replies = z.array(z.unknown()).parse(reply);
  return ids.map((id, index) => AttachReply.safeParse(replies[index]).data ?? unreadable(id));
}

function unreadable(id: string): Attached {
  return {
    state: 'error',
    length: 0,
    value: 'what Redis holds of it is not ours',
    entries: [],
    jobId: id,
    joined: false,
  };
}

/**
 * What a reader learns from it; throws `job_not_found` where the request must exist, `unavailable` where it cannot be
 * read, and `rate_limit_exceeded` when its readers are too many.
 */
export function readingOf(id: string, { state, value, entries }: Attached, mustExist: boolean): LogReading {
  if (state === 'missing' && mustExist) throw notFound(id);
  if (state === 'error') throw new ShoalError('unavailable', `the request cannot be read: ${value.slice(0, 200)}`);
  if (state === 'full') {
    throw new ShoalError('rate_limit_exceeded', `a request can have at most ${MAX_READERS} readers at once`);
  }
  const events = entries.flatMap((entry) => readLogEntry(entry) ?? []);
  if (state === 'completed') return { events, terminal: completedEvent(value) };
  if (state === 'failed') return { events, terminal: { type: 'failed', error: errorOf(value) } };
  if (state === 'cancelled' || state === 'expired') {
    return { events, terminal: { type: 'failed', error: endOfRecord(state) } };
  }
  return { events };
}

export function notFound(id: string): ShoalError {
  return new ShoalError('job_not_found', `there is no request ${id}, or its result is no longer kept`);
}
