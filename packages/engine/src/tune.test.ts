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

it('an engine tells how much of its cache is promised', async () => {
  const { engine } = scriptedEngine({ maxBatchSize: 4, batching: 'continuous' });
  expect(engine.stats()).toMatchObject({ kvUsedTokens: 0 });
  const reading = engine.generate(echoRequest('a', 'hello'))[Symbol.asyncIterator]();
  await reading.next();
  expect(engine.stats().kvUsedTokens).toBeGreaterThan(0);
  expect(engine.stats().kvUsedTokens).toBeLessThanOrEqual(engine.stats().kvBudgetTokens);
  await reading.return?.();
});
