import { ShoalError } from '@shoal/client';
import { expect, it } from 'vitest';
import { reportOf, reportText } from './load-report.ts';
import type { Sent } from './send.ts';

const streamed = (sentAt: number, ...partsAt: number[]): Sent => ({
  sentAt,
  partsAt,
  endedAt: (partsAt.at(-1) ?? sentAt) + 1,
  tokens: partsAt.length,
});

it('tells throughput over the whole run, and latencies of what was answered', () => {
  const failed = { ...streamed(0), error: new ShoalError('queue_full', 'try again') };
  const report = reportOf([streamed(0, 10, 20, 40), streamed(500, 530, 540, 1999), failed], { stream: true });
  expect(report).toEqual({
    ...{ requests: 3, completed: 2, failed: 1, errors: { queue_full: 1 } },
    ...{ seconds: 2, requestsPerSecond: 1, tokensPerSecond: 3 },
    firstTokenMs: { p50: 10, p95: 30, p99: 30 },
    interTokenMs: { p50: 10, p95: 1459, p99: 1459 },
    responseMs: { p50: 41, p95: 1500, p99: 1500 },
  });
  expect(reportText(report)).toBe(
    [
      '2 answered, 1 failed in 2.00 s',
      '  queue_full: 1',
      '1.00 requests/s, 3.0 tokens/s',
      '                    P50         P95         P99',
      'first token     10.0 ms     30.0 ms     30.0 ms',
      'inter-token     10.0 ms   1459.0 ms   1459.0 ms',
      'response        41.0 ms   1500.0 ms   1500.0 ms',
      '',
    ].join('\n'),
  );
});

it('has no first token where answers come whole, and nothing of nothing', () => {
  const { firstTokenMs, responseMs } = reportOf([streamed(0, 10)], { stream: false });
  expect({ firstTokenMs, responseMs }).toEqual({
    firstTokenMs: { p50: null, p95: null, p99: null },
    responseMs: { p50: 11, p95: 11, p99: 11 },
  });
  expect(reportText(reportOf([], { stream: true }))).toContain('0 answered, 0 failed in 0.00 s');
});

it('tells of more results than fit into the arguments of one call', () => {
  const report = reportOf(
    Array.from({ length: 300_000 }, (_, at) => streamed(at)),
    { stream: true },
  );
  expect(report).toMatchObject({ completed: 300_000, seconds: 300 });
});
