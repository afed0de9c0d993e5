import { describe, expect, it } from 'vitest';
import { StepWatch } from './step-watch.ts';

function watched(stepTimeoutMs: number, maxQueueDelayMs = () => 0) {
  const engine = { waiting: 0, running: 0, slots: 4, steps: 0, kvUsedTokens: 0, kvBudgetTokens: 64 };
  const clock = { now: 0 };
  const watch = new StepWatch({ stats: () => engine, stepTimeoutMs, maxQueueDelayMs, now: () => clock.now });
  return { engine, clock, watch };
}

describe('StepWatch', () => {
  it('lets an engine without work rest as long as it likes', () => {
    const { clock, watch } = watched(1000);
    clock.now = 1_000_000;
    expect(watch.alive).toBe(true);
  });

  it('counts the timeout from the last step that was seen', () => {
    const { engine, clock, watch } = watched(1000);
    engine.running = 1;
    engine.steps = 7;
    clock.now = 900;
    expect(watch.alive).toBe(true);
    clock.now = 1900;
    expect(watch.alive).toBe(true);
    clock.now = 1901;
    expect(watch.alive).toBe(false);
  });

  it('is content again when the step ends after all', () => {
    const { engine, clock, watch } = watched(1000);
    engine.running = 1;
    clock.now = 5000;
    expect(watch.alive).toBe(false);
    engine.steps += 1;
    expect(watch.alive).toBe(true);
  });

  it('lets a batch fill for as long as it may, and no longer', () => {
    let delayMs = 5000;
    const { engine, clock, watch } = watched(1000, () => delayMs);
    engine.waiting = 1;
    clock.now = 6000;
    expect(watch.alive).toBe(true);
    clock.now = 6001;
    expect(watch.alive).toBe(false);
    delayMs = 8000;
    expect(watch.alive).toBe(true);
  });

  it('does not blame the first step for the idle time before it', () => {
    const { engine, clock, watch } = watched(1000);
    clock.now = 60_000;
    expect(watch.alive).toBe(true);
    engine.waiting = 1;
    clock.now = 60_500;
    expect(watch.alive).toBe(true);
  });
});
