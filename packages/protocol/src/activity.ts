import { z } from 'zod';

/**
 * What one worker's engine did in a short while, for people who watch it. A frame tells the whole of the present, so a
 * lost one costs only its part of the history.
 */
export interface ActivityFrame {
  v: 1;
  worker: string;
  /** Unix time in milliseconds of its end, and how long it is. */
  at: number;
  forMs: number;
  /** Sequences that can run at once. */
  slots: number;
  /** Sequences in the engine that have no slot yet. */
  waiting: number;
  /** Steps so far in the life of this worker: the number of the last one. */
  step: number;
  /** The steps of this frame, oldest first: consecutive ones of one phase and size are one run. */
  runs: StepRun[];
  /** Who rides now, and who rode in any part of this frame. */
  rides: Ride[];
  generatedTokens: number;
  /** Milliseconds from the queue to the first token, one for each request that got its first. */
  firstTokensMs: number[];
}

/** Steps `from` … `from + count − 1`, each over `rows` sequences. */
export interface StepRun {
  phase: 'prefill' | 'decode';
  from: number;
  count: number;
  rows: number;
}

/** One sequence's time in the batch. */
export interface Ride {
  /**
   * Where it is drawn, 0 … slots − 1: the lowest place that was free when it joined. (The engine keeps its slots packed,
   * so a sequence may change its slot; its lane stays.)
   */
  lane: number;
  jobId: string;
  tenant?: string | undefined;
  /** Which of the request's answers it is; absent: 0. */
  choice?: number | undefined;
  /** Number of the first step that it is in, and of the last; `left` is absent while it rides. */
  joined: number;
  left?: number | undefined;
}

const count: z.ZodNumber = z.int().min(0);

export const ActivityFrame: z.ZodType<ActivityFrame, unknown> = z.object({
  v: z.literal(1),
  worker: z.string(),
  at: z.number(),
  forMs: z.number().min(0),
  slots: count,
  waiting: count,
  step: count,
  runs: z.array(z.object({ phase: z.enum(['prefill', 'decode']), from: count, count, rows: count })),
  rides: z.array(
    z.object({
      lane: count,
      jobId: z.string(),
      tenant: z.string().optional(),
      choice: count.optional(),
      joined: count,
      left: count.optional(),
    }),
  ),
  generatedTokens: count,
  firstTokensMs: z.array(z.number()),
});
