import type { EngineFact, GenerationEngine } from '@shoal/engine';
import { TokenGap } from './token-gap.ts';
import type { WorkerMetrics } from './worker-metrics.ts';

/** Turns the engine's facts into metrics. Returns the function that stops it. */
export function observeEngine(engine: Pick<GenerationEngine, 'observe' | 'stats'>, metrics: WorkerMetrics): () => void {
  const gap = new TokenGap();
  const slots = Math.max(1, engine.stats().slots);
  return engine.observe((fact) => {
    recordFact(fact, metrics);
    if (fact.type === 'step') metrics.stepFillRatio.observe({ phase: fact.phase }, fact.batchSize / slots);
    const gapMs = gap.after(fact);
    if (gapMs !== undefined) metrics.interTokenLatency.observe(gapMs / 1000);
  });
}

function recordFact(fact: EngineFact, metrics: WorkerMetrics): void {
  switch (fact.type) {
    case 'step': {
      const riding = fact.promptTokens ?? 0;
      metrics.stepDuration.observe({ phase: fact.phase }, fact.durationMs / 1000);
      metrics.stepBatchSize.observe({ phase: fact.phase }, fact.batchSize);
      metrics.stepTokens.inc({ phase: fact.phase }, fact.tokens - riding);
      if (riding > 0) metrics.stepTokens.inc({ phase: 'prefill' }, riding);
      metrics.paddingTokens.inc({ phase: fact.phase }, fact.paddingTokens);
      return;
    }
    case 'sample':
      metrics.sampleDuration.observe(fact.durationMs / 1000);
      metrics.sampledWholeRows.inc(fact.wholeRows);
      return;
    case 'run-failed':
      metrics.failedRuns.inc({ phase: fact.phase });
      return;
    case 'prefix-hit':
      metrics.prefixHits.inc();
      metrics.prefixHitTokens.inc(fact.tokens);
      return;
    case 'preempted':
      metrics.preemptions.inc();
      return;
    case 'started':
      metrics.engineWait.observe(fact.waitedMs / 1000);
      return;
    case 'batch':
      metrics.batchSize.observe({ trigger: fact.batch.trigger }, fact.batch.requestIds.length);
      metrics.batchDuration.observe(fact.batch.durationMs / 1000);
      return;
    case 'first-token':
      metrics.timeToFirstToken.observe(fact.afterMs / 1000);
      return;
    case 'sequence-finished':
      metrics.sequences.inc({ outcome: fact.outcome });
      metrics.promptTokens.inc(fact.promptTokens);
      metrics.generationTokens.inc(fact.generatedTokens);
      return;
  }
}
