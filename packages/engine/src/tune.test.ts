import { describe, expect, it } from 'vitest';
import { echoRequest, readAnswer, scriptedEngine } from './testing/scripted-engine.ts';

describe.each(['continuous', 'static'] as const)('an engine that is tuned while it runs: %s', (batching) => {
  it('runs no larger batch than it is told, and larger ones again', async () => {
    const { engine, runner } = scriptedEngine({ maxBatchSize: 4, maxQueueDelayMs: 0, batching });
    const answers = () =>
      Promise.all(['a', 'b', 'c', 'd'].map((id) => readAnswer(engine.generate(echoRequest(id, 'hello')))));
    const largest = () => Math.max(...runner.runs.map(({ rows }) => rows));
    engine.tune({ maxBatchSize: 2 });
    await answers();
    expect(largest()).toBe(2);
    engine.tune({ maxBatchSize: 99 });
    await answers();
    expect(largest()).toBe(4);
  });
});

it('a prefill stays within its memory, whatever an engine is tuned to', async () => {
  const { engine, runner } = scriptedEngine({ batching: 'continuous', maxBatchTokens: 20, mostBatchTokens: 60 });
  const largest = async (id: string): Promise<number> => {
    runner.runs.length = 0;
    await readAnswer(engine.generate(echoRequest(id, 'x'.repeat(200))));
    return Math.max(...runner.runs.map(({ tokens }) => tokens));
  };
  expect(await largest('a')).toBe(20);
  // As the worker does it when another setting is changed: with all of them.
  engine.tune({ maxQueueDelayMs: 0, maxBatchTokens: 8192 });
  expect(await largest('b')).toBe(60);
  engine.tune({ maxBatchTokens: 40 });
  expect(await largest('c')).toBe(40);
});

it('an engine tells how much of its cache is promised', async () => {
  const { engine } = scriptedEngine({ maxBatchSize: 4, batching: 'continuous' });
  expect(engine.stats()).toMatchObject({ kvUsedTokens: 0 });
  const reading = engine.generate(echoRequest('a', 'hello'))[Symbol.asyncIterator]();
  await reading.next();
  expect(engine.stats().kvUsedTokens).toBeGreaterThan(0);
  expect(engine.stats().kvUsedTokens).toBeLessThanOrEqual(engine.stats().kvBudgetTokens);
  await reading.return?.();
});
