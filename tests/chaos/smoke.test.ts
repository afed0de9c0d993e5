import { rmSync } from 'node:fs';
import { expect, inject, it } from 'vitest';
import { historyOf } from './src/ledger/history.ts';
import { soak } from './src/soak.ts';

/** The same every time: of each family of faults at least one within these seconds. */
const SEED = 11;
const DURATION_MS = 40_000;

it('keeps every promise while processes, network and Redis fail', { timeout: 240_000 }, async () => {
  // The launcher has found a Redis; this one is started apart, because it is killed.
  expect(inject('redisUrl')).toBeTruthy();
  const { ledger, faults, folder } = await soak({
    seed: SEED,
    durationMs: DURATION_MS,
    everyMs: 1_500,
    clients: 16,
    asks: 32,
    apis: 2,
    workers: 2,
    stepDelayMs: 5,
    untilForgotten: false,
    onProgress: () => {},
    signal: new AbortController().signal,
  });
  const [offending] = ledger.offending;
  const history = offending === undefined ? '' : historyOf(offending, ledger.timeline);
  expect(ledger.findings, `logs: ${folder}`).toEqual([]);
  expect(ledger.violations, `${history}\nlogs: ${folder}`).toBe(0);

  const struck = Object.keys(faults);
  expect(struck.length, struck.join(', ')).toBeGreaterThanOrEqual(8);
  const answered = ledger.entries.filter(({ outcome }) => outcome?.kind === 'completed');
  expect(answered.length).toBeGreaterThan(50);
  rmSync(folder, { recursive: true, force: true });
});
