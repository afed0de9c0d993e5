import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import { benchmarksPage, chartsOf } from './benchmarks-page.ts';
import { findingsOf, highestBorne } from './findings.ts';
import { parseServe } from './serve-options.ts';
import type { ServeReport } from './serve-report.ts';
import type { ContestantResult, LevelResult } from './sweep.ts';

const folder = mkdtempSync(join(tmpdir(), 'bench-serve-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** The built command: build before. */
const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'main.js');

test('everybody gets the same requests, and what became of each is accounted for', async () => {
  const json = join(folder, 'serve.json');
  const env = { ...process.env, SHOAL_BENCH_CACHE: folder };
  const args = ['serve', '--quick', '--only', 'b,e', '--levels', '80', '--minutes', '0.1', '--json', json];
  await promisify(execFile)(process.execPath, [MAIN, ...args], { env, timeout: 160_000 });
  const report = JSON.parse(readFileSync(json, 'utf8')) as ServeReport;

  expect(report.capacity).toBeGreaterThan(0);
  expect(report.command).toBe(`npm run bench -- ${args.join(' ')}`);
  const measured = report.contestants.map(({ levels: [level] }) => level?.measures);
  expect(measured.map((one) => one?.failed)).toEqual([0, 0]);
  expect(new Set(measured.map((one) => one?.requests)).size).toBe(1);
  for (const one of measured) expect((one?.answered ?? 0) + (one?.unanswered ?? 0)).toBe(one?.requests);
  expect(report.contestants.every(({ peakMb = 0 }) => peakMb > 50)).toBe(true);
}, 170_000);

test('options are checked before anything starts', () => {
  expect(parseServe(['--help'])).toBeUndefined();
  expect(parseServe(['--only', 'a,f'])?.contestants.map(({ key }) => key)).toEqual(
    expect.arrayContaining(['a', 'f-llama', 'f-litserve']),
  );
  expect(parseServe(['--only', 'telemetry'])).toMatchObject({ telemetry: true, cost: false, contestants: [] });
  expect(parseServe([])).toMatchObject({ telemetry: false, cost: true });
  expect(() => parseServe(['--only', 'z'])).toThrow(/no contestant "z"/);
  expect(() => parseServe(['--rounds', '1.5'])).toThrow(/--rounds takes/);
  expect(() => parseServe(['--model', 'gpt'])).toThrow(/--model takes/);
});

function level(percent: number, meanMs: number, more: Partial<LevelResult['measures']> = {}): LevelResult {
  const times = { meanMs, p50Ms: meanMs, p95Ms: 2 * meanMs, p99Ms: 2 * meanMs, firstP50Ms: 10, firstP95Ms: 20 };
  const rest = {
    interTokenP50Ms: 5,
    interTokenP99Ms: 9,
    latenessP99Ms: 1,
    latenessMaxMs: 2,
    late: 0,
    tokensPerSecond: 50,
  };
  const measures = {
    requests: 8,
    answered: 8,
    failed: 0,
    unanswered: 0,
    goodput: percent / 100,
    ...times,
    ...rest,
    ...more,
  };
  return { percent, pattern: 'poisson', requestsPerSecond: percent / 50, measures, cpuSecondsPer1000Tokens: 30 };
}

function contestant(key: string, family: ContestantResult['family'], levels: LevelResult[]): ContestantResult {
  return { key, name: `contestant ${key}`, precision: 'fp32', family, peakMb: 700, levels };
}

const contestants = [
  contestant('a', 'queue', [level(10, 100), level(80, 250), level(300, 3_000, { answered: 5, unanswered: 3 })]),
  contestant('e', 'shoal', [level(10, 100), level(80, 110), level(300, 200)]),
  contestant('f-x', 'node', [level(10, 100), level(80, 200, { goodput: 0.5 })]),
  { ...contestant('f-y', 'python', []), absent: 'not installed | here' },
];
const levels = [10, 80, 300].map((percent) => ({ percent, pattern: 'poisson', weight: 1 }) as const);

const pageMachine = {
  cpu: 'a cpu',
  cores: 2,
  memoryGb: 4,
  system: 'linux',
  node: '20',
  versions: { x: '1' },
  loadBefore: 0,
};
const pageScenarios = [{ name: 'load', seconds: 1, findings: findingsOf({ capacity: 2, contestants }, levels) }];
const pageReport: ServeReport = {
  ...{
    bench: 'serve',
    date: '2026-01-02T00:00:00Z',
    machine: pageMachine,
    command: 'npm run bench -- serve',
    quick: false,
  },
  ...{ model: '135m', threads: 2, batch: 16, rounds: 2, minutes: 20, seed: 1, capacity: 2, valid: true },
  ...{ slo: { firstTokenMs: 1_000, perTokenMs: 100 }, generatorFirst: true, contestants, scenarios: pageScenarios },
};

test('ratios are of the same load; a load is borne while p95 stays near the light one', () => {
  const found = findingsOf({ capacity: 2, contestants }, levels);
  const value = (name: string): number | undefined => found.find((one) => one.name.includes(name))?.value;
  expect(value('at 80 %: Shoal (e)')).toBeCloseTo(0.44);
  // (a) failed at 300 and may bear anything below.
  expect(value('highest load')).toBe(1);
  expect(contestants.map((one) => highestBorne(one))).toEqual([80, 300, 80, undefined]);
  // A load that nobody answered in full, or that was heavy, is no measure for others.
  const [heavy, unanswered] = [level(100, 100), level(10, 100, { answered: 5, unanswered: 3 })];
  for (const light of [heavy, unanswered]) {
    expect(highestBorne(contestant('f-x', 'node', [light, level(300, 110)]))).toBeUndefined();
  }
  expect(value('best Node peer')).toBe(6);
  expect(value('best Python peer')).toBeUndefined();
});

test('says nothing of the highest load where the lightest was not light, or nothing failed', () => {
  const known = (kept: (percent: number) => boolean) => {
    const some = contestants.map((one) => ({ ...one, levels: one.levels.filter(({ percent }) => kept(percent)) }));
    return findingsOf({ capacity: 2, contestants: some }, levels).some(({ name }) => name.includes('highest load'));
  };
  expect([known(() => true), known((percent) => percent > 10), known((percent) => percent < 300)]).toEqual([
    ...[true, false, false],
  ]);
});

test('the page says when the machine was busy', () => {
  const busy = { ...pageMachine, loadBefore: 1.1 };
  const pageOf = (machine: typeof pageMachine) =>
    benchmarksPage([{ report: { ...pageReport, machine }, source: 'x.json', charts: ['a.svg', 'b.svg'] }]);
  expect([pageOf(busy).includes('The machine was busy'), pageOf(pageMachine).includes('busy')]).toEqual([true, false]);
});

test('the page says what was measured, with whom, and who could not be', () => {
  const page = benchmarksPage([{ report: pageReport, source: 'x.json', charts: ['a.svg', 'b.svg'] }]);
  expect(page).toContain('| mean response time at 80 %: Shoal (e) ÷ one at a time (a) | ≤ 0.4 | 0.44 | **not met** |');
  expect(page).toContain('not installed \\| here');
  expect(page).toContain('≥ 3000');
  expect(page).toContain('`npm run bench -- serve` on 2026-01-02');
  expect(Object.keys(chartsOf(pageReport))).toEqual(['response', 'goodput']);
});

test('the page shows several runs, each with its own machine and command', () => {
  const ours = pageReport.contestants.filter(({ family }) => family === 'queue' || family === 'shoal');
  const cost = { name: 'added by queue and API, p50', unit: 'ms', value: 4, target: { atMost: 5 } };
  const runs = [
    { report: { ...pageReport, contestants: ours, command: 'long windows' }, source: 'long.json', charts: ['a', 'b'] },
    { report: { ...pageReport, command: 'with peers' }, source: 'peers.json', charts: ['c', 'd'] },
    {
      report: {
        ...{ ...pageReport, contestants: [], command: 'alone' },
        scenarios: [{ name: 'cost', seconds: 1, findings: [cost] }],
      },
      source: 'cost.json',
      charts: [],
    },
  ];
  const page = benchmarksPage(runs);
  expect(page.match(/^## .*/gm)).toEqual([
    ...['## Against one prompt at a time', '## Against what one would use instead'],
    ...['## What queue and API add to the engine', '## How'],
  ]);
  for (const { report, source } of runs) {
    expect(page).toContain(source);
    expect(page).toContain(`\`${report.command}\` on 2026-01-02`);
  }
  expect(page).toContain('| added by queue and API, p50 | ≤ 5 | 4 ms | met |');
});
