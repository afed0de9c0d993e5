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
        queries: [[`sum(max by (model, priority) (shoal_queue_depth{${MODEL}, state="waiting"}))`, '']],
      },
      {
        title: 'Running',
        kind: 'stat',
        width: 4,
        queries: [[`sum(max by (model) (shoal_queue_depth{${MODEL}, state="running"}))`, '']],
      },
      {
        title: 'Workers',
        kind: 'stat',
        width: 4,
        queries: [[`sum(max by (model) (shoal_fleet_workers{${MODEL}, state="ready"}))`, '']],
      },
      {
        title: 'Slots in use',
        kind: 'stat',
        width: 4,
        unit: 'percentunit',
        queries: [
          [
            `sum(max by (model) (shoal_fleet_sequences{${MODEL}, state="running"})) / sum(max by (model) (shoal_fleet_slots{${MODEL}}))`,
            '',
          ],
        ],
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
        about: 'Requests that fail for reasons of ours, of all whose callers wait (how jobs end, the workers tell).',
        queries: [
          [
            `sum(rate(shoal_requests_total{${MODEL}, endpoint!~"/v1/jobs.*", outcome=~"inference_error|worker_lost|unavailable|deadline_exceeded"}[$__rate_interval])) / sum(rate(shoal_requests_total{${MODEL}, endpoint!~"/v1/jobs.*"}[$__rate_interval]))`,
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
      {
        title: 'Queue',
        queries: [
          [
            `sum by (model, state) (max by (model, state, priority) (shoal_queue_depth{${MODEL}}))`,
            '{{model}} {{state}}',
          ],
        ],
      },
      {
        title: 'Waiting, by priority',
        about: '0 goes first.',
        stacked: true,
        queries: [
          [
            `sum by (priority) (max by (model, priority) (shoal_queue_depth{${MODEL}, state="waiting"}))`,
            '{{priority}}',
          ],
        ],
      },
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
          [`max by (model) (shoal_fleet_sequences{${MODEL}, state="running"})`, '{{model}} running'],
          [`max by (model) (shoal_fleet_slots{${MODEL}})`, '{{model}} slots'],
        ],
      },
    ],
  },
  {
    title: 'Batching',
    panels: [
      { title: 'Mean batch size', queries: [[mean('shoal_step_batch_size'), '{{model}}']] },
      {
        title: 'Fill of a step',
        unit: 'percentunit',
        about: 'Sequences in a decode step, of the slots there are.',
        queries: [[mean('shoal_step_fill_ratio', `${MODEL}, phase="decode"`), '{{model}}']],
      },
      {
        title: 'KV cache in use',
        unit: 'percentunit',
        queries: [[`max by (model) (shoal_fleet_kv_cache_usage_ratio{${MODEL}})`, '{{model}}']],
      },
      {
        title: 'Answers reused',
        about: 'Requests that joined a generation under way (shared) or a finished one (cached).',
        queries: [[rate('shoal_cache_hits_total', 'kind'), '{{kind}}']],
      },
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
      {
        title: 'Answers that went on elsewhere',
        queries: [[`sum by (label) (increase(shoal_resumes_total{${MODEL}}[$__rate_interval]))`, '{{label}}']],
      },
      { title: 'Preemptions', queries: [[rate('shoal_preemptions_total'), '{{model}}']] },
      { title: 'Jobs by end', stacked: true, queries: [[rate('shoal_jobs_total', 'outcome'), '{{outcome}}']] },
      { title: 'Queue errors', queries: [[rate('shoal_consumer_errors_total', 'instance'), '{{instance}}']] },
    ],
  },
];
