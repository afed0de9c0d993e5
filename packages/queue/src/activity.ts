import type { ActivityFrame } from '@shoal/protocol';
import type { QueueDepth } from './producer.ts';

/**
 * What a worker's engine does, for people who watch. Nothing is stored, and a worker sends nothing while nobody looks:
 * a watcher says so on one channel every two seconds, and for five seconds the workers answer on another. Whoever is
 * slow or away misses frames; nobody waits.
 */

/** How often the frames of one worker come at most. */
export const FRAME_INTERVAL_MS = 100;
/** How often a watcher says that it looks, and for how long a worker believes it. */
export const LOOK_INTERVAL_MS = 2_000;
export const LOOK_LASTS_MS = 5_000;

/** What the publisher asks a worker for. */
export interface ActivitySource {
  /** Somebody began to look. */
  begin(): void;
  /** What happened since the last frame; undefined when there is nothing to tell. Called at most once per interval. */
  take(): ActivityFrame | undefined;
  /** Nobody looks any more. */
  end(): void;
}

export type ActivityEvent = { type: 'frame'; frame: ActivityFrame } | ({ type: 'depth' } & QueueDepth);
