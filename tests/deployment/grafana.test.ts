import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { findPromtool } from '../../scripts/deployment-tools.mjs';
import { runCommand } from '../../scripts/system/bounded.mjs';
import { unknownIn } from './metric-names.ts';

const folder = fileURLToPath(new URL('../../infra/grafana', import.meta.url));
const FETCH_LIMIT_MS = 240_000;

interface Panel {
  id: number;
  title: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: { expr: string }[];
}

interface Dashboard {
  uid: string;
  title: string;
  panels: Panel[];
}

const dashboards = readdirSync(join(folder, 'dashboards')).map(
  (file) => JSON.parse(readFileSync(join(folder, 'dashboards', file), 'utf8')) as Dashboard,
);
const queries = dashboards.flatMap(({ title, panels }) =>
  panels.flatMap((panel) => (panel.targets ?? []).map(({ expr }) => ({ place: `${title} / ${panel.title}`, expr }))),
);

describe('infra/grafana', () => {
  it('has its three dashboards', () => {
    expect(dashboards.map(({ uid }) => uid).sort()).toEqual(['shoal-overview', 'shoal-request', 'shoal-worker']);
  });

  it('shows only series and labels that Shoal exports', () => {
    expect(queries.length).toBeGreaterThan(20);
    expect(queries.flatMap(({ place, expr }) => unknownIn(expr).map((name) => `${place}: ${name}`))).toEqual([]);
  });

  it(
    'asks in words that Prometheus understands',
    async ({ skip }) => {
      const promtool = await findPromtool();
      if (!promtool) return skip();
      const rules = queries.map(({ expr }, i) => ({ record: `panel:${i}`, expr: withValues(expr) }));
      const work = mkdtempSync(join(tmpdir(), 'shoal-panels-'));
      const file = join(work, 'rules.json');
      writeFileSync(file, JSON.stringify({ groups: [{ name: 'panels', rules }] }));
      const [program = '', ...args] = promtool;
      const { code, output } = await runCommand(program, [...args, 'check', 'rules', file], { limitMs: 60_000 });
      rmSync(work, { recursive: true });
      expect(code, output).toBe(0);
      expect(output).toContain(`${queries.length} rules found`);
    },
    FETCH_LIMIT_MS,
  );

  it.each(dashboards.map((dashboard) => [dashboard.title, dashboard] as const))(
    '%s: no panel lies on another',
    (_, { panels }) => {
      const taken = new Map<string, string>();
      for (const { title, gridPos } of panels) {
        expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
        for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
          for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
            expect(taken.get(`${x} ${y}`), title).toBeUndefined();
            taken.set(`${x} ${y}`, title);
          }
        }
      }
      expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    },
  );

  it('is found by Grafana where the compose file puts it', () => {
    const provider = parse(readFileSync(join(folder, 'provisioning/dashboards/shoal.yml'), 'utf8')) as {
      providers: { options: { path: string } }[];
    };
    const compose = parse(readFileSync(join(folder, '../../docker-compose.yml'), 'utf8'), { merge: true }) as {
      services: { grafana: { volumes: string[] } };
    };
    expect(compose.services.grafana.volumes).toContain(
      `./infra/grafana/dashboards:${provider.providers[0]?.options.path}:ro`,
    );
  });
});

/** Grafana's variables, as it fills them in. */
function withValues(expr: string): string {
  return expr.replaceAll('$__rate_interval', '1m').replaceAll(/\$(model|instance)/g, '.*');
}
