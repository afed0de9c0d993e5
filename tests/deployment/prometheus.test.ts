import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { findPromtool } from '../../scripts/deployment-tools.mjs';
import { runCommand } from '../../scripts/system/bounded.mjs';
import { unknownIn } from './metric-names.ts';

const folder = fileURLToPath(new URL('../../infra/prometheus', import.meta.url));
const FETCH_LIMIT_MS = 240_000;

interface Rules {
  groups: {
    rules: { alert: string; expr: string; labels: { severity: string }; annotations: Record<string, string> }[];
  }[];
}

interface RuleTests {
  tests: { alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }[];
}

describe('infra/prometheus', () => {
  const alerts = read<Rules>('alerts.yml').groups.flatMap((group) => group.rules);
  const cases = read<RuleTests>('alerts.test.yml').tests.flatMap((test) => test.alert_rule_test);
  let promtool: string[] | undefined;

  beforeAll(async () => {
    promtool = await findPromtool();
    if (!promtool) console.warn("no promtool can be had here: Prometheus' own opinion of its files is left out");
  }, FETCH_LIMIT_MS);

  it.for(['prometheus.yml', 'kubernetes.yml'])('is accepted by Prometheus: %s', async (file, { skip }) => {
    if (!promtool) return skip();
    const { code, output } = await check(promtool, ['check', 'config', file]);
    expect(code, output).toBe(0);
  });

  it('scrapes under the job names that the alerts ask for', () => {
    const asked = alerts.flatMap(({ expr }) => [...expr.matchAll(/job="([^"]+)"/g)].map(([, job]) => job));
    const { scrape_configs: jobs } = read<{ scrape_configs: { job_name: string }[] }>('prometheus.yml');
    expect(asked.length).toBeGreaterThan(0);
    expect(jobs.map(({ job_name }) => job_name)).toEqual(expect.arrayContaining(asked));
  });

  it('fires every alert for its reason, and not without it', async ({ skip }) => {
    if (!promtool) return skip();
    const { code, output } = await check(promtool, ['test', 'rules', 'alerts.test.yml']);
    expect(code, output).toBe(0);
  });

  it('speaks only of series and labels that Shoal exports', () => {
    expect(alerts.length).toBeGreaterThan(0);
    expect(alerts.flatMap(({ alert, expr }) => unknownIn(expr).map((name) => `${alert}: ${name}`))).toEqual([]);
  });

  it('says of every alert how bad it is, what is wrong, and what to do', () => {
    for (const { alert, labels, annotations } of alerts) {
      expect(['page', 'warn'], alert).toContain(labels.severity);
      expect(Object.keys(annotations).sort(), alert).toEqual(['action', 'summary']);
    }
  });

  it('has seen every alert fire', () => {
    const fired = new Set(cases.filter(({ exp_alerts }) => exp_alerts.length > 0).map(({ alertname }) => alertname));
    expect(alerts.map(({ alert }) => alert).filter((name) => !fired.has(name))).toEqual([]);
  });
});

function check([program = '', ...first]: string[], args: string[]) {
  return runCommand(program, [...first, ...args], { limitMs: 60_000, cwd: folder });
}

function read<T>(name: string): T {
  return parse(readFileSync(join(folder, name), 'utf8')) as T;
}
