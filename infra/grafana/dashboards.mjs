// The Grafana dashboards as code; `npm run check -- --write` writes them to dashboards/*.json.
import { dashboard } from './layout.mjs';
import { OVERVIEW } from './overview.mjs';
import { REQUEST } from './request.mjs';
import { WORKER } from './worker.mjs';

const variable = (/** @type {string} */ name, /** @type {string} */ query) => ({
  name,
  type: 'query',
  datasource: { type: 'prometheus', uid: '$datasource' },
  query: { query, refId: name },
  refresh: 2,
  includeAll: true,
  multi: true,
  allValue: '.*',
  current: { text: 'All', value: '$__all' },
});

/** @type {{ file: string, title: string, rows: import('./layout.mjs').Row[], variables: object[] }[]} */
const DASHBOARDS = [
  {
    file: 'overview.json',
    title: 'Shoal: overview',
    rows: OVERVIEW,
    variables: [variable('model', 'label_values(shoal_queue_depth, model)')],
  },
  {
    file: 'worker.json',
    title: 'Shoal: a worker',
    rows: WORKER,
    variables: [variable('instance', 'label_values(shoal_slots, instance)')],
  },
  {
    file: 'request.json',
    title: "Shoal: a request's life",
    rows: REQUEST,
    variables: [variable('model', 'label_values(shoal_queue_depth, model)')],
  },
];

/** The dashboards as Grafana reads them: file name and text. @returns {{ file: string, text: string }[]} */
export function renderDashboards() {
  return DASHBOARDS.map(({ file, title, rows, variables }) => ({
    file,
    text: `${JSON.stringify(dashboard(file.replace('.json', ''), title, rows, variables), null, 2)}\n`,
  }));
}
