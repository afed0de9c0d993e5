import { z } from 'zod';
import type { ModelKeys } from './keys.ts';
import { type Chunk, chunkEntry, type Outbox } from './outbox.ts';

/** How a job ends; `value` is its result or ErrorBody as JSON. */
export type End =
  | { kind: 'completed' | 'failed'; value: string }
  | { kind: 'handed-back' }
  | { kind: 'later'; delayMs: number };

/** How an end went: `lost` when the job is another worker's, or gone, by now. */
export type EndOutcome = 'done' | 'lost';

/** One thing to write, as step.ts takes it. */
export type Item =
  | { kind: 'emit'; outbox: Outbox; chunk: Chunk }
  | { kind: 'end'; outbox: Outbox; end: End; settle: (outcome: EndOutcome) => void }
  | { kind: 'look'; outbox: Outbox; renew: boolean };

/** Jobs that a step is to claim. A step that is sent again under the same id gives the same claims. */
export interface ClaimRequest {
  stepId: string;
  /** At most this many. */
  wanted: number;
  /** And so many more, to be held until a slot is free, if nobody else is there for them. */
  ahead: number;
  /** Jobs held, besides those that this step ends. */
  held: number;
  lockMs: number;
  worker: string;
}

export interface RawClaim {
  id: string;
  token: string;
  /** BullMQ's job hash. */
  fields: Map<string, string>;
  /** Entries of the token log, TokensEvent as JSON. */
  log: string[];
}

export interface ClaimReply {
  claims: RawClaim[];
  /** Milliseconds for which BullMQ's rate limiter holds the queue, or 0. */
  limitedMs: number;
  /** Milliseconds until the next delayed job is due, or 0 where there is none; no clock but Redis's is asked. */
  nextDelayedMs: number;
  /** Jobs still waiting. */
  waiting: number;
  /** The claims are suspects, which run apart from all others. */
  apart: boolean;
  /** Nothing was given because this worker is to empty itself for suspects. */
  mustEmpty: boolean;
}

export interface StepReply {
  /** One per item: codes of step.ts. */
  codes: number[];
  cancelledIds: string[];
  /** Jobs among the items that somebody joined, where the script looked. */
  joinedIds: string[];
  claim: ClaimReply;
}

/** Codes of step.ts. */
export const NOT_HELD = -1;
export const FAILED: number = -100;
/** Redis took no writes at all (out of memory, say): that says nothing of the item. */
export const FULL: number = -101;
/** Minus the log's length. */
export const TOO_SHORT: number = -1_000;

export interface StepLimits {
  keys: ModelKeys;
  /** Seconds that finished jobs and token logs are kept. */
  resultTtlS: number;
  /** Entries of one reply stream. */
  repliesMax: number;
}

const NO_CLAIM: ClaimRequest = { stepId: '', wanted: 0, ahead: 0, held: 0, lockMs: 0, worker: '' };

/** Whether a step has to look for jobs. */
export function asksForJobs(claim: ClaimRequest | undefined): claim is ClaimRequest {
  return claim !== undefined && claim.wanted + claim.ahead > 0;
}

export function encodeStep(
  { keys, resultTtlS, repliesMax }: StepLimits,
  items: readonly Item[],
  claim: ClaimRequest | undefined,
): (string | number)[] {
  const { stepId, wanted, held, lockMs, worker, ahead } = claim ?? NO_CLAIM;
  const limits = [keys.bull, keys.own, resultTtlS * 1000, repliesMax, resultTtlS];
  return [...limits, stepId, wanted, held, lockMs, worker, ahead, ...items.flatMap(encodeItem)];
}

function encodeItem(item: Item): (string | number)[] {
  const { id, token, replyTo } = item.outbox.claim;
  if (item.kind === 'look') return [item.renew ? 'L' : 'K', id, token];
  if (item.kind === 'emit') {
    const { position, end } = item.chunk;
    return ['E', id, token, replyTo, position, end, chunkEntry(item.chunk)];
  }
  const { end } = item;
  if (end.kind === 'handed-back') return ['B', id, token];
  if (end.kind === 'later') return ['D', id, token, end.delayMs];
  const letter = end.kind === 'completed' ? 'C' : 'F';
  return [letter, id, token, replyTo, item.outbox.length, end.value];
}

/** Id, token, names and values of fields in turn, log entries. */
type ClaimTuple = [string, string, string[], string[]];

function isClaimTuple(value: unknown): value is ClaimTuple {
  if (!Array.isArray(value) || value.length !== 4) return false;
  const [id, token, fields, log] = value;
  return typeof id === 'string' && typeof token === 'string' && isStrings(fields) && isStrings(log);
}

function isStrings(value: unknown): boolean {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}

/** Checked by hand: a dozen strings per job, and this is where a worker spends its time at a backlog. */
const ClaimTuples = z.custom<ClaimTuple[]>((claims) => Array.isArray(claims) && claims.every(isClaimTuple));

const RawReply = z.tuple([
  z.array(z.number()),
  z.array(z.string()),
  ClaimTuples,
  z.tuple([z.number(), z.number(), z.number(), z.number()]),
  z.array(z.string()),
]);

export function decodeStep(reply: unknown): StepReply {
  const [codes, cancelledIds, claims, [limitedMs, nextDelayedMs, waiting, apart], joinedIds] = RawReply.parse(reply);
  return {
    codes,
    cancelledIds,
    joinedIds,
    claim: {
      claims: claims.map(rawClaim),
      limitedMs,
      nextDelayedMs,
      waiting,
      apart: apart > 0,
      mustEmpty: apart < 0,
    },
  };
}

const CallReply = z.tuple([ClaimTuples, z.number()]);

/** The reply to a claim that waits behind a call, or to taking it back, see call.ts. */
export function decodeCall(reply: unknown): { claims: RawClaim[]; more: boolean } {
  const [claims, more] = CallReply.parse(reply);
  return { claims: claims.map(rawClaim), more: more === 1 };
}

function rawClaim([id, token, flat, log]: ClaimTuple): RawClaim {
  return { id, token, fields: fieldsOf(flat), log };
}

function fieldsOf(flat: readonly string[]): Map<string, string> {
  const fields = new Map<string, string>();
  for (let at = 0; at + 1 < flat.length; at += 2) fields.set(flat[at] ?? '', flat[at + 1] ?? '');
  return fields;
}
