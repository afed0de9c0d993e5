import { CallFailed, call, eventsOf } from './caller.ts';

/** What one worker did in a short while, and who rides in its batch at the end of it. */
export interface Frame {
  object: 'activity.frame';
  worker: string;
  at: number;
  for_ms: number;
  slots: number;
  waiting: number;
  /** Number of the last step. */
  step: number;
  runs: StepRun[];
  rides: RideFrame[];
  generated_tokens: number;
  first_tokens_ms: number[];
}

/** Steps `from` … `from + count − 1`, each over `rows` sequences. */
export interface StepRun {
  phase: 'prefill' | 'decode';
  from: number;
  count: number;
  rows: number;
}

/** A sequence's time in the batch; without `job_id` it is another tenant's. */
export interface RideFrame {
  lane: number;
  joined: number;
  left?: number;
  job_id?: string;
  choice?: number;
}

export interface QueueFrame {
  object: 'activity.queue';
  waiting: number;
  running: number;
}

const SHORTEST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8_000;

/** Follows a model's activity until the signal aborts or the key is refused; a connection that breaks is made again. */
export async function watchActivity(
  options: { model: string; key: string; signal: AbortSignal },
  onEvent: (event: Frame | QueueFrame) => void,
  onConnected: (connected: boolean) => void,
): Promise<'left' | 'refused'> {
  const { model, key, signal } = options;
  let pauseMs = SHORTEST_PAUSE_MS;
  while (!signal.aborted) {
    try {
      const response = await call(`/v1/activity?model=${encodeURIComponent(model)}`, { key, signal });
      for await (const event of eventsOf<Frame | QueueFrame>(response)) {
        onConnected(true);
        pauseMs = SHORTEST_PAUSE_MS;
        onEvent(event);
      }
    } catch (error) {
      if (error instanceof CallFailed && error.status === 401) {
        onConnected(false);
        return 'refused';
      }
    }
    if (signal.aborted) break;
    onConnected(false);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
  }
  return 'left';
}
