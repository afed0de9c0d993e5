import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import { scalingChart, scalingFigures } from './scaling-page.ts';
import type { ScalingReport } from './scaling-report.ts';

const folder = mkdtempSync(join(tmpdir(), 'bench-scaling-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** The built command: build before. */
const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'main.js');

function scaling(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  return promisify(execFile)(process.execPath, [MAIN, 'scaling', ...args], { timeout: 100_000 });
}

test('simulated workers answer through the real queue, every stream whole, and the page tells it', async () => {
  const json = join(folder, 'scaling.json');
  await scaling('--quick', '--only', 'streamed', '--points', '2', '--json', json);
  const report = JSON.parse(readFileSync(json, 'utf8')) as ScalingReport;
  const [point] = report.parts.streamed?.points ?? [];
  expect(point).toMatchObject({ workers: 2, wrong: 0, errors: [] });
  expect(point?.tokensPerSecond).toBeGreaterThan(0);
  expect(point?.redis.mainCores).toBeGreaterThan(0);
  expect(point?.ageP50Ms).toBeGreaterThan(0);

  const page = scalingFigures(report, { source: 'scaling.json', chart: 'scaling.svg' });
  expect(page).toContain('A quick run');
  expect(page).toContain('One Redis, every token read as it comes');
  expect(scalingChart(report)).toMatch(/^<svg .*<\/svg>\n$/s);
}, 120_000);

test('it refuses what it does not know', async () => {
  await expect(scaling('--only', 'nothing')).rejects.toMatchObject({
    stderr: expect.stringMatching(/no part "nothing"/),
  });
  await expect(scaling('--points', '0')).rejects.toMatchObject({ stderr: expect.stringMatching(/--points takes/) });
  await expect(scaling('--page')).rejects.toMatchObject({ stderr: expect.stringMatching(/--page takes its figures/) });
});
