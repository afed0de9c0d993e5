import { createApiMetrics, createWorkerMetrics } from '@shoal/telemetry';

/** Labels that Prometheus and the worker's registry add to every sample. */
const ADDED = ['model', 'instance', 'job', 'le'];

/** Every series that the API and the workers export, with its labels. */
function exported(): Map<string, Set<string>> {
  const api = createApiMetrics(async () => []).registry;
  const worker = createWorkerMetrics({ model: 'm' }).registry;
  const series = new Map<string, Set<string>>([['up', new Set(ADDED)]]);
  for (const metric of [...api.getMetricsAsArray(), ...worker.getMetricsAsArray()]) {
    const labels = (metric as unknown as { labelNames?: string[] }).labelNames ?? [];
    const histogram = metric.type.toString() === 'histogram';
    for (const suffix of histogram ? ['_bucket', '_sum', '_count'] : ['']) {
      series.set(`${metric.name}${suffix}`, new Set([...labels, ...ADDED]));
    }
  }
  return series;
}

const series = exported();

/** What a PromQL expression asks for that Shoal does not export: series, or labels of them. */
export function unknownIn(expression: string): string[] {
  return [...expression.matchAll(/\b((?:shoal|nodejs|process)_\w+|up\b)(\{[^}]*\})?/g)].flatMap(
    ([, name = '', matchers = '']) => {
      const labels = series.get(name);
      if (!labels) return [name];
      const asked = [...matchers.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map((match) => match[1] ?? '');
      return asked.filter((label) => !labels.has(label)).map((label) => `${name}{${label}}`);
    },
  );
}
