import { z } from 'zod';

/** What a worker says of itself with every heartbeat: enough for gauges of the whole fleet without asking every worker. */
export interface WorkerReport {
  /** Unique among live workers. */
  worker: string;
  /** `draining`: it takes no more jobs, and ends when those that it has are done or handed back. */
  state: 'ready' | 'draining';
  /** Sequences that can run at once, that do, and that wait inside the worker. */
  slots: number;
  running: number;
  waiting: number;
  /** Tokens that hold keys and values (running sequences and kept prefixes), and how many may. */
  kvUsedTokens: number;
  kvBudgetTokens: number;
  /** Tokens generated per second, over the last seconds. */
  tokensPerSecond: number;
  /** The settings that can be changed while it runs, by environment name, as they are in force. */
  settings: Record<string, string>;
  /** Unix time in milliseconds. */
  startedAt: number;
}

const count = z.number().min(0);

export const WorkerReport: z.ZodType<WorkerReport, unknown> = z.object({
  worker: z.string(),
  state: z.enum(['ready', 'draining']),
  slots: count,
  running: count,
  waiting: count,
  kvUsedTokens: count,
  kvBudgetTokens: count,
  tokensPerSecond: count,
  settings: z.record(z.string(), z.string()),
  startedAt: count,
});
