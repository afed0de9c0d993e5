import { quantile } from '../statistics.ts';
import type { Answered } from './open-loop.ts';

/** What is sent later than this was measured at another load than was asked for. */
export const LATENESS_MS = 10;

/** What a caller must get for an answer to be of use. */
export interface Slo {
  /** First token, from the scheduled arrival. */
  readonly firstTokenMs: number;
  /** Each further token, in the mean over the answer. */
  readonly perTokenMs: number;
}

/** One window at one load, pooled over its rounds. Times in milliseconds, from the scheduled arrival. */
export interface Measures {
  readonly requests: number;
  readonly answered: number;
  readonly failed: number;
  /** Why the first of those did. */
  readonly failure?: string;
  /** Given up on: their waiting so far counts, so that means and quantiles with any are lower bounds. */
  readonly unanswered: number;
  /** Tokens of complete answers, per second from the first arrival's window to the last answer. */
  readonly tokensPerSecond: number;
  /** Answers within the SLO per second of arrivals. */
  readonly goodput: number;
  readonly meanMs: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  /** Median and 95th percentile of the first part of an answer: of the whole one where answers come whole. */
  readonly firstP50Ms: number;
  readonly firstP95Ms: number;
  /** Gaps between the parts of an answer that streams; NaN where answers come whole. */
  readonly interTokenP50Ms: number;
  readonly interTokenP99Ms: number;
  /** How late the generator sent, 99th percentile and worst. */
  readonly latenessP99Ms: number;
  readonly latenessMaxMs: number;
  /** Requests that were sent more than {@link LATENESS_MS} late. */
  readonly late: number;
}

/** The records of one window. */
export interface Window {
  readonly records: readonly Answered[];
  readonly durationMs: number;
  /** When it was over: the last answer, or the end of the patience. */
  readonly endMs: number;
}

export function measure(windows: readonly Window[], slo: Slo): Measures {
  const all = windows.flatMap(({ records, endMs }) => records.map((record) => ({ ...record, endOfWindowMs: endMs })));
  const complete = all.filter(({ endMs }) => endMs !== undefined);
  const waits = all
    .filter(({ error }) => error === undefined)
    .map(({ scheduledMs, endMs, endOfWindowMs }) => (endMs ?? endOfWindowMs) - scheduledMs);
  const firsts = all.flatMap(({ partsMs: [first], scheduledMs }) => (first === undefined ? [] : [first - scheduledMs]));
  const gaps = complete.flatMap(({ partsMs }) => partsMs.slice(1).map((at, i) => at - (partsMs[i] ?? at)));
  const lateness = all.map(({ sentMs, scheduledMs }) => sentMs - scheduledMs);
  const arrivalSeconds = windows.reduce((sum, { durationMs }) => sum + durationMs, 0) / 1000;
  const busySeconds = windows.reduce((sum, { endMs }) => sum + endMs, 0) / 1000;
  const failure = all.find(({ error }) => error !== undefined)?.error;
  return {
    ...(failure !== undefined && { failure }),
    requests: all.length,
    answered: complete.length,
    failed: all.filter(({ error }) => error !== undefined).length,
    unanswered: all.filter(({ endMs, error }) => endMs === undefined && error === undefined).length,
    tokensPerSecond: complete.reduce((sum, { tokens }) => sum + tokens, 0) / busySeconds,
    goodput: complete.filter((record) => isGood(record, slo)).length / arrivalSeconds,
    meanMs: waits.reduce((sum, wait) => sum + wait, 0) / waits.length,
    p50Ms: quantile(waits, 0.5),
    p95Ms: quantile(waits, 0.95),
    p99Ms: quantile(waits, 0.99),
    firstP50Ms: quantile(firsts, 0.5),
    firstP95Ms: quantile(firsts, 0.95),
    interTokenP50Ms: quantile(gaps, 0.5),
    interTokenP99Ms: quantile(gaps, 0.99),
    latenessP99Ms: quantile(lateness, 0.99),
    latenessMaxMs: Math.max(0, ...lateness),
    late: lateness.filter((ms) => ms > LATENESS_MS).length,
  };
}

/**
 * In time for its reader. An answer that comes whole is held to the moment by which a stream at the SLO's pace would
 * have ended: more lenient than to ask for its first token on its own.
 */
export function isGood({ scheduledMs, partsMs, endMs, tokens }: Answered, slo: Slo): boolean {
  if (endMs === undefined) return false;
  const [first = endMs] = partsMs;
  const rest = tokens - 1;
  if (partsMs.length <= 1) return endMs - scheduledMs <= slo.firstTokenMs + rest * slo.perTokenMs;
  return first - scheduledMs <= slo.firstTokenMs && endMs - first <= rest * slo.perTokenMs;
}
