// Is the fleet well, and is it full?
import { MODEL, mean, rate } from './promql.mjs';

/** @type {import('./layout.mjs').Row[]} */
export const OVERVIEW = [
  {
    title: 'Now',
    panels: [
      {
        title: 'Waiting',
        kind: 'stat',
        width: 4,
        queries: [[`sum(max by (model) (shoal_queue_depth{${MODEL}, state="waiting"}))`, '']],
      },
      {
        title: 'Running',
        kind: 'stat',
        width: 4,
        queries: [[`sum(max by (model) (shoal_queue_depth{${MODEL}, state="running"}))`, '']],
      },
      { title: 'Workers', kind: 'stat', width: 4, queries: [[`count(shoal_slots{${MODEL}})`, '']] },
      {
        title: 'Slots in use',
        kind: 'stat',
        width: 4,
        unit: 'percentunit',
        queries: [[`sum(shoal_sequences{${MODEL}, state="running"}) / sum(shoal_slots{${MODEL}})`, '']],
      },
      {
        title: 'Tokens per second',
        kind: 'stat',
        width: 4,
        queries: [[`sum(rate(shoal_generation_tokens_total{${MODEL}}[$__rate_interval]))`, '']],
      },
      {
        title: 'Failing',
        kind: 'stat',
        width: 4,
        unit: 'percentunit',
        about: 'Requests that fail for reasons of ours, of all.',
        queries: [
          [
            `sum(rate(shoal_requests_total{${MODEL}, outcome=~"inference_error|worker_lost|unavailable|deadline_exceeded"}[$__rate_interval])) / sum(rate(shoal_requests_total{${MODEL}}[$__rate_interval]))`,
            '',
          ],
        ],
      },
    ],
  },
  {
    title: 'Demand and supply',
    panels: [
      {
        title: 'Requests by outcome',
        unit: 'reqps',
        stacked: true,
        queries: [[rate('shoal_requests_total', 'outcome'), '{{outcome}}']],
      },
      { title: 'Queue', queries: [[`max by (model, state) (shoal_queue_depth{${MODEL}})`, '{{model}} {{state}}']] },
      {
        title: 'Tokens',
        unit: 'short',
        queries: [
          [rate('shoal_generation_tokens_total'), '{{model}} generated'],
          [rate('shoal_prompt_tokens_total'), '{{model}} prompt'],
        ],
      },
      {
        title: 'Slots',
        about: 'Running sequences should reach the slots whenever requests wait.',
        queries: [
          [`sum by (model) (shoal_sequences{${MODEL}, state="running"})`, '{{model}} running'],
          [`sum by (model) (shoal_slots{${MODEL}})`, '{{model}} slots'],
        ],
      },
    ],
  },
  {
    title: 'Batching',
    panels: [
      { title: 'Mean batch size', queries: [[mean('shoal_step_batch_size'), '{{model}}']] },
      {
        title: 'Why batches began',
        stacked: true,
        about: 'full: the batch reached MAX_BATCH_SIZE; delay: MAX_QUEUE_DELAY_MS was over first.',
        queries: [[rate('shoal_batch_size_count', 'trigger'), '{{trigger}}']],
      },
      {
        title: 'Padding, of all tokens computed',
        unit: 'percentunit',
        queries: [
          [
            `${rate('shoal_padding_tokens_total')} / (${rate('shoal_padding_tokens_total')} + ${rate('shoal_step_tokens_total')})`,
            '{{model}}',
          ],
        ],
      },
    ],
  },
  {
    title: 'Trouble',
    panels: [
      {
        title: 'Jobs taken over from dead workers',
        queries: [[`sum by (model) (increase(shoal_redeliveries_total{${MODEL}}[$__rate_interval]))`, '{{model}}']],
      },
      { title: 'Jobs by end', stacked: true, queries: [[rate('shoal_jobs_total', 'outcome'), '{{outcome}}']] },
      { title: 'Queue errors', queries: [[rate('shoal_consumer_errors_total', 'instance'), '{{instance}}']] },
    ],
  },
];
