// Pages and dashboards that are rendered from the code, so that they cannot be wrong.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { renderDashboards } from '../infra/grafana/dashboards.mjs';
import { root } from './bootstrap.mjs';

/** @type {{ page: string, module: string, render: string }[]} */
const PAGES = [
  { page: 'docs/configuration.md', module: 'packages/config/dist/index.js', render: 'renderConfigurationDocs' },
  { page: 'docs/metrics.md', module: 'packages/telemetry/dist/index.js', render: 'renderMetricsDocs' },
];

/** @returns {Promise<{ page: string, text: string }[]>} */
async function rendered() {
  const pages = PAGES.map(async ({ page, module, render }) => {
    const exports = await import(pathToFileURL(join(root, module)).href);
    if (typeof exports[render] !== 'function') {
      throw new Error(`${module} does not export ${render}, which writes ${page}`);
    }
    return { page, text: exports[render]() };
  });
  const dashboards = renderDashboards().map(({ file, text }) => ({ page: `infra/grafana/dashboards/${file}`, text }));
  return [...(await Promise.all(pages)), ...dashboards];
}

/** Pages that differ from what the code says now. */
export async function staleDocs() {
  return (await rendered()).filter(({ page, text }) => current(page) !== text).map(({ page }) => page);
}

export async function writeDocs() {
  for (const { page, text } of await rendered()) {
    if (current(page) === text) continue;
    mkdirSync(dirname(join(root, page)), { recursive: true });
    writeFileSync(join(root, page), text);
  }
}

/** @param {string} page */
function current(page) {
  const file = join(root, page);
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}
