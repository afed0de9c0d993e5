import type { Sent } from './send.ts';

/** Milliseconds; `null` where nothing was measured. */
export interface Spread {
  p50: number | null;
  p95: number | null;
  p99: number | null;
}

export interface LoadReport {
  requests: number;
  completed: number;
  failed: number;
  /** How many failed, by the error's code. */
  errors: Record<string, number>;
  seconds: number;
  requestsPerSecond: number;
  tokensPerSecond: number;
  /** From the sending to the first part of the answer, of streams. */
  firstTokenMs: Spread;
  /** Between the parts of an answer, of streams. */
  interTokenMs: Spread;
  /** From the sending to the end of the answer. */
  responseMs: Spread;
}

export function reportOf(all: readonly Sent[], { stream }: { stream: boolean }): LoadReport {
  const answered = all.filter(({ error }) => error === undefined);
  const errors: Record<string, number> = {};
  for (const { error } of all) if (error !== undefined) errors[error.code] = (errors[error.code] ?? 0) + 1;
  // Not spread into one call: a long run has more results than the stack has room for.
  const began = all.reduce((first, { sentAt }) => Math.min(first, sentAt), Number.POSITIVE_INFINITY);
  const ended = all.reduce((last, { endedAt }) => Math.max(last, endedAt), Number.NEGATIVE_INFINITY);
  const seconds = all.length === 0 ? 0 : (ended - began) / 1000;
  const perSecond = (count: number): number => (seconds > 0 ? count / seconds : 0);
  const firsts = answered.flatMap(({ sentAt, partsAt: [first] }) => (first === undefined ? [] : [first - sentAt]));
  const gaps = answered.flatMap(({ partsAt }) => partsAt.slice(1).map((at, before) => at - (partsAt[before] ?? at)));
  return {
    requests: all.length,
    completed: answered.length,
    failed: all.length - answered.length,
    errors,
    seconds,
    requestsPerSecond: perSecond(answered.length),
    tokensPerSecond: perSecond(answered.reduce((sum, { tokens }) => sum + tokens, 0)),
    firstTokenMs: spreadOf(stream ? firsts : []),
    interTokenMs: spreadOf(stream ? gaps : []),
    responseMs: spreadOf(answered.map(({ sentAt, endedAt }) => endedAt - sentAt)),
  };
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  return { p50: quantile(sorted, 0.5), p95: quantile(sorted, 0.95), p99: quantile(sorted, 0.99) };
}

/** The smallest value that so large a share is no larger than. */
function quantile(sorted: readonly number[], share: number): number | null {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null;
}

/** The report for people. */
export function reportText(report: LoadReport): string {
  const { completed, failed, errors, seconds, requestsPerSecond, tokensPerSecond } = report;
  const rows = [
    ['', 'P50', 'P95', 'P99'],
    ['first token', ...cells(report.firstTokenMs)],
    ['inter-token', ...cells(report.interTokenMs)],
    ['response', ...cells(report.responseMs)],
  ];
  const line = ([name = '', ...values]: string[]): string =>
    `${name.padEnd(11)}${values.map((value) => value.padStart(12)).join('')}\n`;
  const failures = Object.entries(errors).map(([code, count]) => `  ${code}: ${count}\n`);
  return [
    `${completed} answered, ${failed} failed in ${seconds.toFixed(2)} s\n`,
    ...failures,
    `${requestsPerSecond.toFixed(2)} requests/s, ${tokensPerSecond.toFixed(1)} tokens/s\n`,
    ...rows.map(line),
  ].join('');
}

function cells({ p50, p95, p99 }: Spread): string[] {
  return [p50, p95, p99].map((ms) => (ms === null ? '-' : `${ms.toFixed(1)} ms`));
}
