import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import type { Report } from './report.ts';

const folder = mkdtempSync(join(tmpdir(), 'bench-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** The built command: build before. */
const MAIN = join(import.meta.dirname, '..', 'dist', 'main.js');

function bench(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const env = { ...process.env, SHOAL_BENCH_CACHE: folder };
  return promisify(execFile)(process.execPath, [MAIN, ...args], { env, timeout: 100_000 });
}

test('a quick run writes what it printed, with machine and versions', async () => {
  const json = join(folder, 'results', 'report.json');
  const only = 'decode-fp32,simulated-device';
  const { stdout } = await bench('engine', '--quick', '--threads', '1', '--only', only, '--json', json);
  const report = JSON.parse(readFileSync(json, 'utf8')) as Report;

  expect(report.scenarios.map(({ name }) => name).join()).toBe(only);
  expect(report.machine.versions['onnxruntime-node']).toMatch(/^1\./);
  expect(Date.parse(report.date)).toBeGreaterThan(0);
  const findings = report.scenarios.flatMap((scenario) => scenario.findings);
  for (const { name, value } of findings) {
    expect(stdout).toContain(name);
    expect(value).not.toBeNull();
  }
  const ratio = findings.find(({ name }) => name.startsWith('A/A'));
  expect(ratio?.pairs?.pairs).toBe(2);
}, 120_000);

test('the queue is measured with workers and producers of their own', async () => {
  const json = join(folder, 'results', 'queue.json');
  await bench('queue', '--quick', '--only', 'sharing,results', '--json', json);
  const report = JSON.parse(readFileSync(json, 'utf8')) as Report;

  expect(report.bench).toBe('queue');
  expect(report.machine.versions.bullmq).toMatch(/^6\./);
  const findings = report.scenarios.flatMap((scenario) => scenario.findings);
  const figure = (name: string): number | undefined => findings.find((one) => one.name === name)?.value;
  expect(figure('generations')).toBe(1);
  expect(figure('different answers')).toBe(1);
  expect(figure('ours: answered')).toBeGreaterThan(0);
  expect(findings.filter(({ value }) => !Number.isFinite(value))).toEqual([]);
}, 120_000);

test('it explains itself, and refuses what it does not know', async () => {
  // Side by side: each of them starts a process that imports every contestant.
  const [help, scenario, rounds, command] = await Promise.allSettled([
    bench('--help'),
    bench('engine', '--only', 'nothing'),
    bench('engine', '--rounds', '0'),
    bench('cooking'),
  ]);
  expect(help).toMatchObject({ value: { stdout: expect.stringContaining('Usage: npm run bench') } });
  expect(scenario).toMatchObject({ reason: { code: 1, stderr: expect.stringMatching(/no scenario "nothing"/) } });
  expect(rounds).toMatchObject({ reason: { code: 1, stderr: expect.stringMatching(/--rounds takes a whole/) } });
  expect(command).toMatchObject({ reason: { code: 2 } });
}, 120_000);
