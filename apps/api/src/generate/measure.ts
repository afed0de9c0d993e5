import type { GenerateResult } from '@shoal/protocol';
import type { ApiMetrics } from '@shoal/telemetry';

/** Takes the figures of one request. */
export interface RequestMeasure {
  /** Known once the model is found; an unknown name never becomes a label. */
  model: string;
  /** Tokens of prompts and answers so far; until a job's result is there, those of its prompt are estimated. */
  tokens: number;
  /** Tokens of an answer, as they come. */
  arrived(tokens: number): void;
  /** The end of one job. `counted` is what `tokens` holds of it. */
  result(result: GenerateResult, counted: number): void;
  /** Exactly once, with `completed` or the error code. */
  done(outcome: string): void;
}

export function measureRequest(metrics: ApiMetrics, clock: () => number, endpoint: string): RequestMeasure {
  const acceptedAt = clock();
  let waiting = true;
  const seconds = (): number => (clock() - acceptedAt) / 1000;
  metrics.requestsInFlight.inc();
  return {
    model: '',
    tokens: 0,
    arrived(tokens) {
      this.tokens += tokens;
      if (waiting) metrics.timeToFirstToken.observe({ model: this.model }, seconds());
      waiting = false;
    },
    result({ usage, ride, timings }, counted) {
      const { model } = this;
      this.tokens += usage.promptTokens + usage.completionTokens - counted;
      metrics.promptTokens.inc({ model }, usage.promptTokens);
      metrics.generationTokens.inc({ model }, usage.completionTokens);
      metrics.batchSize.observe({ model }, ride.batchSize);
      metrics.batchDuration.observe({ model }, Math.max(0, timings.finishedAt - timings.startedAt) / 1000);
    },
    done(outcome) {
      metrics.requestsInFlight.dec();
      metrics.requests.inc({ model: this.model, endpoint, outcome });
      if (outcome === 'completed') metrics.e2eRequestLatency.observe({ model: this.model }, seconds());
    },
  };
}
