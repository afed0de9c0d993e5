import type { Consumer, ConsumerFact } from '@shoal/queue';
import type { Logger } from './logger.ts';
import type { WorkerMetrics } from './worker-metrics.ts';

/** Turns the consumer's facts into metrics, and its errors into log lines. Returns the function that stops it. */
export function observeConsumer(
  consumer: Pick<Consumer, 'observe'>,
  metrics: WorkerMetrics,
  logger?: Pick<Logger, 'warn'>,
): () => void {
  return consumer.observe((fact) => {
    recordFact(fact, metrics);
    if (fact.type === 'error') logger?.warn(fact.message);
  });
}

function recordFact(fact: ConsumerFact, metrics: WorkerMetrics): void {
  switch (fact.type) {
    case 'claimed':
      metrics.claims.inc();
      // The two times come from two machines' clocks: a small negative difference is clock skew, not a figure.
      metrics.requestQueueTime.observe(Math.max(0, fact.queueMs) / 1000);
      // Who finds nobody ahead is told no wait; what the claim takes then, beside that zero, is no error of a prediction.
      if (fact.predictedMs !== undefined && fact.predictedMs > 0) {
        metrics.predictedWaitRatio.observe(fact.predictedMs / Math.max(1, fact.queueMs));
      }
      if (fact.redelivered) metrics.redeliveries.inc();
      metrics.resumedTokens.inc(fact.resumedTokens);
      return;
    case 'finished':
      metrics.jobs.inc(
        fact.code === undefined ? { outcome: fact.outcome } : { outcome: fact.outcome, code: fact.code },
      );
      if (fact.totalMs !== undefined) metrics.jobLatency.observe({ outcome: fact.outcome }, fact.totalMs / 1000);
      return;
    case 'recovered':
      metrics.stalledJobs.inc(fact.jobIds.length);
      return;
    case 'emit':
      metrics.emitDuration.observe(fact.durationMs / 1000);
      return;
    case 'error':
      metrics.consumerErrors.inc();
      return;
  }
}
