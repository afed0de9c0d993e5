import { choice, integer, text } from './kinds.ts';
import type { SettingsTable } from './setting.ts';

/** Settings of the worker alone. */
export interface WorkerOnlyConfig {
  metricsHost: string;
  metricsPort: number;
  drainTimeoutMs: number;
  stepTimeoutMs: number;
  maxAttempts: number;
  resume: 'exact' | 'fast';
}

export const workerSettings: SettingsTable<WorkerOnlyConfig> = {
  metricsHost: {
    ...text(/^[A-Za-z0-9.:-]{1,253}$/, 'an IP address or host name to listen on'),
    env: 'METRICS_HOST',
    default: '127.0.0.1',
    doc: 'Address of the worker’s health and metrics port. They hold no prompts; `0.0.0.0` inside a container.',
  },
  metricsPort: {
    ...integer(0, 65_535),
    env: 'METRICS_PORT',
    default: 9100,
    doc: 'Port of `/metrics` and `/health/*` of the worker; 0 takes a free one.',
  },
  drainTimeoutMs: {
    ...integer(0, 3_600_000),
    env: 'DRAIN_TIMEOUT_MS',
    default: 30_000,
    unit: 'ms',
    doc: 'How long running requests may go on after SIGTERM; then they are handed back to the queue for another worker.',
  },
  stepTimeoutMs: {
    ...integer(1000, 3_600_000),
    env: 'STEP_TIMEOUT_MS',
    default: 60_000,
    unit: 'ms',
    doc: 'Longest time that one step of the engine may take. A worker whose engine hangs for longer exits (code 71), and its requests continue elsewhere.',
  },
  resume: {
    ...choice(['exact', 'fast']),
    env: 'RESUME',
    default: 'exact',
    doc: 'How a request that another worker began goes on. `exact` replays its tokens one by one beside the others: the answer is byte for byte what it would have been (`identical`), where the kernels allow. `fast` computes them at once: sooner, and the rest may differ (`continued`).',
  },
  maxAttempts: {
    ...integer(1, 100),
    env: 'MAX_ATTEMPTS',
    default: 3,
    doc: 'Deaths of a worker that runs one request alone, after which that request fails with `worker_lost`.',
  },
};
