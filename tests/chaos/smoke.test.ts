import { rmSync } from 'node:fs';
import { expect, inject, it } from 'vitest';
import { FAULT_FAMILIES } from './src/faults/index.ts';
import { historyOf } from './src/ledger/history.ts';
import { soak } from './src/soak.ts';

/** The same every time: of each family of faults at least one within these two minutes. */
const SEED = 11;
const DURATION_MS = 120_000;
const SETTLE_MS = 75_000;
/** Longer than the limits within, one after the other: what is lost is told by the ledger, with its history. */
const TIMEOUT_MS = 900_000;

it('keeps every promise while processes, network and Redis fail', { timeout: TIMEOUT_MS }, async () => {
  // The launcher has found a Redis; this one is started apart, because it is killed.
  expect(inject('redisUrl')).toBeTruthy();
  const { ledger, faults, folder } = await soak({
    seed: SEED,
    durationMs: DURATION_MS,
    everyMs: 2_000,
    clients: 16,
    asks: 32,
    apis: 2,
    workers: 2,
    stepDelayMs: 5,
    settleMs: SETTLE_MS,
    untilForgotten: false,
    onProgress: () => {},
    onViolation: (what) => console.error(`VIOLATION: ${what}`),
    signal: new AbortController().signal,
  });
  const [offending] = ledger.offending;
  const history = offending === undefined ? '' : historyOf(offending, ledger.timeline);
  expect(ledger.findings, `${history}\nlogs: ${folder}`).toEqual([]);
  expect(ledger.violations, `${history}\nlogs: ${folder}`).toBe(0);

  const families = Object.entries(FAULT_FAMILIES).filter(([, family]) => family.some(({ name }) => name in faults));
  expect(families.map(([name]) => name)).toEqual(['processes', 'network', 'redis', 'bad jobs']);
  const answered = ledger.entries.filter(({ outcome }) => outcome?.kind === 'completed');
  expect(answered.length).toBeGreaterThan(50);
  const stopped = ledger.entries.filter(({ outcome }) => outcome?.kind === 'failed' && outcome.code === 'cancelled');
  expect(stopped.length).toBeGreaterThan(0);
  rmSync(folder, { recursive: true, force: true });
});
