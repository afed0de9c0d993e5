// What one worker does, and how it feels.
import { quantile, rate } from './promql.mjs';

const ONE = 'instance=~"$instance"';

/** @type {import('./layout.mjs').Row[]} */
export const WORKER = [
  {
    title: 'Work',
    panels: [
      {
        title: 'Sequences',
        queries: [
          [`shoal_sequences{${ONE}}`, '{{instance}} {{state}}'],
          [`shoal_slots{${ONE}}`, '{{instance}} slots'],
        ],
      },
      {
        title: 'Tokens computed',
        queries: [[rate('shoal_step_tokens_total', 'instance, phase', ONE), '{{instance}} {{phase}}']],
      },
      {
        title: 'Step time (median)',
        unit: 's',
        queries: [[quantile(0.5, 'shoal_step_duration_seconds', ONE, 'instance, phase'), '{{instance}} {{phase}}']],
      },
      {
        title: 'Step time (99 %)',
        unit: 's',
        queries: [[quantile(0.99, 'shoal_step_duration_seconds', ONE, 'instance, phase'), '{{instance}} {{phase}}']],
      },
      {
        title: 'Batch sizes',
        kind: 'heatmap',
        queries: [[`sum by (le) (increase(shoal_step_batch_size_bucket{${ONE}}[$__rate_interval]))`, '{{le}}']],
      },
      {
        title: 'Between two tokens',
        unit: 's',
        queries: [
          [quantile(0.5, 'shoal_inter_token_latency_seconds', ONE, 'instance'), '{{instance}} median'],
          [quantile(0.99, 'shoal_inter_token_latency_seconds', ONE, 'instance'), '{{instance}} 99 %'],
        ],
      },
      {
        title: 'KV cache in use',
        unit: 'percentunit',
        queries: [[`shoal_kv_cache_usage_ratio{${ONE}}`, '{{instance}}']],
      },
      {
        title: 'Settings in force',
        about: 'They can be changed at run time (shoal set).',
        queries: [[`shoal_worker_setting{${ONE}, setting!="LOG_LEVEL"}`, '{{instance}} {{setting}}']],
      },
      {
        title: 'Batch duration',
        unit: 's',
        queries: [
          [quantile(0.5, 'shoal_batch_duration_seconds', ONE, 'instance'), '{{instance}} median'],
          [quantile(0.99, 'shoal_batch_duration_seconds', ONE, 'instance'), '{{instance}} 99 %'],
        ],
      },
    ],
  },
  {
    title: 'Process',
    panels: [
      {
        title: 'Event-loop lag (99 %)',
        unit: 's',
        about: 'Queue I/O and lock renewal live here: more than a few hundred milliseconds endangers locks.',
        queries: [[`nodejs_eventloop_lag_p99_seconds{${ONE}}`, '{{instance}}']],
      },
      {
        title: 'CPU',
        unit: 'percentunit',
        queries: [[`rate(process_cpu_seconds_total{${ONE}}[$__rate_interval])`, '{{instance}}']],
      },
      { title: 'Resident memory', unit: 'bytes', queries: [[`process_resident_memory_bytes{${ONE}}`, '{{instance}}']] },
      {
        title: 'Writes to Redis (99 %)',
        unit: 's',
        queries: [[quantile(0.99, 'shoal_emit_duration_seconds', ONE, 'instance'), '{{instance}}']],
      },
    ],
  },
];
