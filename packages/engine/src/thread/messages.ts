import type { ErrorBody, TokensEvent } from '@shoal/protocol';
import type { EngineOptions } from '../engine-options.ts';
import type { EngineFact } from '../events.ts';
import type { EngineModel, EngineRequest, EngineTuning, FinishedEvent } from '../generation-engine.ts';

/** What the engine thread is started with. */
export interface ThreadData {
  options: EngineOptions;
  /** {@link SharedStats} memory. */
  stats: SharedArrayBuffer;
}

/** To the thread. `ticket` numbers the calls of `generate`. */
export type ThreadCommand =
  | { type: 'generate'; ticket: number; request: EngineRequest }
  | { type: 'abort'; ticket: number }
  | { type: 'tune'; tuning: EngineTuning }
  | { type: 'close' };

/** From the thread. `step` carries everything that happened since the last one. */
export type ThreadReport =
  | { type: 'ready'; model: EngineModel; interruptHandle: bigint }
  | { type: 'refused'; error: ErrorBody }
  | { type: 'step'; events: TicketEvent[]; facts: EngineFact[] }
  | { type: 'closed' };

export type TicketEvent =
  | { type: 'tokens'; ticket: number; event: TokensEvent }
  | { type: 'finished'; ticket: number; event: FinishedEvent }
  | { type: 'failed'; ticket: number; error: ErrorBody };
