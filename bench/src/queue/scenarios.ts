import type { Scenario } from '../scenario.ts';
import { backlog } from './backlog.ts';
import { brokenConnections } from './broken-connections.ts';
import { idleCost } from './idle-cost.ts';
import { predictedWait } from './predicted-wait.ts';
import { prefetch } from './prefetch.ts';
import { results } from './results.ts';
import { sharing } from './sharing.ts';
import { tokenEmit } from './token-emit.ts';

/** Every question about the queue, in the order of the report. */
export const QUEUE_SCENARIOS: readonly Scenario[] = [
  backlog,
  results,
  tokenEmit,
  idleCost,
  prefetch,
  brokenConnections,
  predictedWait,
  sharing,
];
