import { apiMetricTable } from './api-metrics.ts';
import type { MetricRow } from './metric.ts';
import { workerMetricTable } from './worker-metrics.ts';

const INTRODUCTION = `# Metrics

Generated from \`packages/telemetry\` (\`renderMetricsDocs\`): change a metric there.

Prometheus text on \`/metrics\` of every API and every worker. Each process also exposes Node's own metrics under their
usual names; \`nodejs_eventloop_lag_p99_seconds\` tells when a process is too busy to answer in time.
`;

/** The text of docs/metrics.md. */
export function renderMetricsDocs(): string {
  return [
    INTRODUCTION,
    '\n## Worker\n\nEvery sample also carries `model`. The sum over all workers is the whole fleet.\n\n',
    renderTable(Object.values<MetricRow>(workerMetricTable)),
    '\n## API\n\nRequests as callers of this API see them. Requests that services put on the queue themselves do not pass here.\n\n',
    renderTable(Object.values<MetricRow>(apiMetricTable)),
  ].join('');
}

function renderTable(rows: readonly MetricRow[]): string {
  const lines = rows.map(({ name, labels, unit, help, buckets }) => {
    const range = buckets === undefined ? '' : `${buckets.at(0)} … ${buckets.at(-1)}`;
    return `| \`${name}\` | ${labels.map((label) => `\`${label}\``).join(', ')} | ${unit} | ${range} | ${help} |\n`;
  });
  return `| metric | labels | unit | buckets | meaning |\n|---|---|---|---|---|\n${lines.join('')}`;
}
