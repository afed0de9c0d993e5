// Panels into Grafana's grid and words.

/**
 * @typedef {{ title: string, unit?: string, queries: [expression: string, legend: string][], kind?: 'timeseries' | 'stat' | 'heatmap', width?: number, stacked?: boolean, about?: string }} Panel
 * @typedef {{ title: string, panels: Panel[] }} Row
 */

const GRID_COLUMNS = 24;
const PANEL_HEIGHT = 8;
const STAT_HEIGHT = 4;

/** @param {string} uid @param {string} title @param {Row[]} rows @param {object[]} variables */
export function dashboard(uid, title, rows, variables) {
  return {
    uid: `shoal-${uid}`,
    title,
    tags: ['shoal'],
    schemaVersion: 39,
    editable: false,
    refresh: '10s',
    time: { from: 'now-30m', to: 'now' },
    templating: { list: [{ name: 'datasource', type: 'datasource', query: 'prometheus', current: {} }, ...variables] },
    panels: layOut(rows),
  };
}

/** Rows from the top, panels from the left. @param {Row[]} rows */
function layOut(rows) {
  const placed = [];
  let y = 0;
  let id = 1;
  for (const { title, panels } of rows) {
    placed.push({
      id: id++,
      type: 'row',
      title,
      collapsed: false,
      panels: [],
      gridPos: { x: 0, y: y++, w: GRID_COLUMNS, h: 1 },
    });
    let x = 0;
    let height = 0;
    for (const panel of panels) {
      const w = panel.width ?? GRID_COLUMNS / Math.min(3, panels.length);
      const h = panel.kind === 'stat' ? STAT_HEIGHT : PANEL_HEIGHT;
      if (x + w > GRID_COLUMNS) {
        x = 0;
        y += height;
      }
      placed.push({ id: id++, ...body(panel), gridPos: { x, y, w, h } });
      x += w;
      height = h;
    }
    y += height;
  }
  return placed;
}

/** @param {Panel} panel */
function body({ title, kind = 'timeseries', unit = 'short', queries, stacked = false, about }) {
  const datasource = { type: 'prometheus', uid: '$datasource' };
  const drawn = { fillOpacity: stacked ? 40 : 8, stacking: { mode: stacked ? 'normal' : 'none' } };
  return {
    type: kind,
    title,
    ...(about === undefined ? {} : { description: about }),
    datasource,
    fieldConfig: { defaults: { unit, min: 0, ...(kind === 'timeseries' ? { custom: drawn } : {}) }, overrides: [] },
    targets: queries.map(([expr, legendFormat], i) => ({
      refId: String.fromCharCode(65 + i),
      datasource,
      expr,
      ...(kind === 'heatmap' ? { format: 'heatmap' } : {}),
      legendFormat,
    })),
  };
}
