import { type GenerateResult, ShoalError } from '@shoal/protocol';
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

/** Takes what becomes of one submission of jobs, however many. */
export interface SubmissionMeasure {
  /** Known once the model is found, as with {@link RequestMeasure}. */
  model: string;
  /** Whether its jobs are for several models: then none is told. */
  mixed: boolean;
  /** Exactly once, with `accepted` or the error code. */
  done(outcome: string): void;
}

export function measureSubmission(metrics: ApiMetrics, endpoint: string): SubmissionMeasure {
  return {
    model: '',
    mixed: false,
    done(outcome) {
      metrics.requests.inc({ model: this.mixed ? '' : this.model, endpoint, outcome });
    },
  };
}

/** The outcome of a request that failed. */
export function outcomeOf(error: unknown): string {
  return error instanceof ShoalError ? error.code : 'inference_error';
}
