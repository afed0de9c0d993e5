// Where the time of a request goes.
import { MODEL, mean, quantile, rate } from './promql.mjs';

/** @type {import('./layout.mjs').Row[]} */
export const REQUEST = [
  {
    title: 'What a caller feels',
    panels: [
      {
        title: 'First token (at the API)',
        unit: 's',
        queries: [
          [quantile(0.5, 'shoal_api_time_to_first_token_seconds'), '{{model}} median'],
          [quantile(0.95, 'shoal_api_time_to_first_token_seconds'), '{{model}} 95 %'],
        ],
      },
      {
        title: 'Whole answer',
        unit: 's',
        queries: [
          [quantile(0.5, 'shoal_e2e_request_latency_seconds'), '{{model}} median'],
          [quantile(0.95, 'shoal_e2e_request_latency_seconds'), '{{model}} 95 %'],
        ],
      },
      { title: 'Waiting callers', queries: [['sum(shoal_requests_in_flight)', 'connected']] },
    ],
  },
  {
    title: 'Where the time goes (means, stacked)',
    panels: [
      {
        title: 'In the queue, then to the first token, then to the last',
        unit: 's',
        width: 16,
        stacked: true,
        queries: [
          [mean('shoal_request_queue_time_seconds'), '{{model}} queue'],
          [mean('shoal_time_to_first_token_seconds'), '{{model}} batch delay and prefill'],
          [
            `${mean('shoal_e2e_request_latency_seconds')} - ${mean('shoal_api_time_to_first_token_seconds')}`,
            '{{model}} decode',
          ],
        ],
      },
      {
        title: 'Queue time',
        kind: 'heatmap',
        width: 8,
        unit: 's',
        queries: [
          [`sum by (le) (increase(shoal_request_queue_time_seconds_bucket{${MODEL}}[$__rate_interval]))`, '{{le}}'],
        ],
      },
      {
        title: 'Batch that each request rode in',
        kind: 'heatmap',
        width: 12,
        queries: [[`sum by (le) (increase(shoal_api_batch_size_bucket{${MODEL}}[$__rate_interval]))`, '{{le}}']],
      },
      {
        title: 'Tokens per answer',
        width: 12,
        queries: [
          [
            `${rate('shoal_api_generation_tokens_total')} / sum by (model) (rate(shoal_requests_total{${MODEL}, outcome="completed"}[$__rate_interval]))`,
            '{{model}}',
          ],
        ],
      },
    ],
  },
];
