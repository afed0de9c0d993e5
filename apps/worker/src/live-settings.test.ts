import { expect, test } from 'vitest';
import { LiveSettings, type WorkerTuning } from './live-settings.ts';

const atStart: WorkerTuning = { maxBatchSize: 16, maxQueueDelayMs: 0, maxBatchTokens: 8192, logLevel: 'info' };

function liveSettings() {
  const seen = { applied: [] as WorkerTuning[], warnings: [] as unknown[], raw: {} as Record<string, string> };
  const live = new LiveSettings({
    atStart,
    slots: 16,
    batching: 'continuous',
    read: async () => seen.raw,
    apply: (tuning) => void seen.applied.push(tuning),
    logger: { info: () => {}, warn: (line: unknown) => void seen.warnings.push(line) },
  });
  const look = async (raw: Record<string, string>) => {
    seen.raw = raw;
    await live.look();
    return live.inForce;
  };
  return { ...seen, live, look, seen };
}

test('a change is applied once, and taken back', async () => {
  const { look, seen } = liveSettings();
  expect(await look({ MAX_BATCH_SIZE: '4' })).toEqual({ ...atStart, maxBatchSize: 4 });
  await look({ MAX_BATCH_SIZE: '4' });
  expect(seen.applied).toHaveLength(1);
  expect(await look({})).toEqual(atStart);
  expect(seen.applied).toHaveLength(2);
});

test('a batch is never larger than the slots there are', async () => {
  const { look } = liveSettings();
  expect(await look({ MAX_BATCH_SIZE: '1000' })).toMatchObject({ maxBatchSize: 16 });
});

test.each([
  ['continuous', 4, 2],
  ['static', 8, 4],
] as const)('%s batching claims no more than there are slots for, from the start', async (batching, begun, changed) => {
  const live = new LiveSettings({
    ...{ atStart, slots: 4, batching, apply: () => {}, logger: { info: () => {}, warn: () => {} } },
    read: async () => ({ MAX_BATCH_SIZE: '2' }),
  });
  expect(live.capacity).toBe(begun);
  await live.look();
  expect(live.capacity).toBe(changed);
});

test('a malformed change is told once and leaves everything as it was', async () => {
  const { look, seen } = liveSettings();
  await look({ MAX_BATCH_TOKENS: '512', MAX_BATCH_SIZE: '4' });
  expect(await look({ MAX_BATCH_TOKENS: 'lots', MAX_BATCH_SIZE: '4' })).toMatchObject({ maxBatchTokens: 512 });
  await look({ MAX_BATCH_TOKENS: 'lots', MAX_BATCH_SIZE: '4' });
  expect(seen.warnings).toEqual([
    'a change of MAX_BATCH_TOKENS to "lots" is refused: expected an integer from 16 to 10000000',
  ]);
  expect(seen.applied).toHaveLength(1);
});

test('settings of others are not a worker’s business', async () => {
  const { look, seen } = liveSettings();
  expect(await look({ MAX_QUEUE_SIZE: '5' })).toEqual(atStart);
  expect([seen.applied, seen.warnings]).toEqual([[], []]);
});

test('while Redis is away, what is in force stays', async () => {
  const live = new LiveSettings({
    atStart,
    slots: 16,
    batching: 'continuous',
    read: () => Promise.reject(new Error('away')),
    apply: () => {
      throw new Error('nothing has changed');
    },
    logger: { info: () => {}, warn: () => {} },
  });
  await live.look();
  expect(live.inForce).toEqual(atStart);
});
