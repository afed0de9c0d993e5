import { describe, expect, it } from 'vitest';
import { echoRequest, scriptedEngine } from '../testing/scripted-engine.ts';
import { EngineHost } from './engine-host.ts';
import type { ThreadReport, TicketEvent } from './messages.ts';
import { SharedStats } from './shared-stats.ts';

it('forgets an answer that was complete when it came', async () => {
  const { engine } = scriptedEngine();
  let aborted = 0;
  const submit = engine.submit.bind(engine);
  engine.submit = (...request) => {
    const abort = submit(...request);
    return () => {
      aborted += 1;
      abort();
    };
  };
  const reports: ThreadReport[] = [];
  const host = new EngineHost(engine, new SharedStats(), (report) => reports.push(report));
  const events = (): TicketEvent[] => reports.flatMap((report) => (report.type === 'step' ? report.events : []));
  // All that it may say was said elsewhere.
  const request = { ...echoRequest('told', 'ab', { maxTokens: 2 }), resumeFrom: { tokenIds: [97, 98] } };
  await host.handle({ type: 'generate', ticket: 1, request });
  await host.handle({ type: 'generate', ticket: 2, request: echoRequest('new', 'ab') });
  await Promise.resolve();
  expect(events().map(({ type, ticket }) => `${type} ${ticket}`)).toEqual(['finished 1']);
  for (const ticket of [1, 2]) await host.handle({ type: 'abort', ticket });
  expect(aborted).toBe(1);
  await host.handle({ type: 'close' });
});

describe('a step', () => {
  /** What is told of a prompt, prefilled 16 tokens at a time and answered with two. */
  async function reportsOf(prompt: string): Promise<Extract<ThreadReport, { type: 'step' }>[]> {
    const { engine, clock } = scriptedEngine({ batching: 'continuous', maxBatchTokens: 16 });
    const reports: ThreadReport[] = [];
    const host = new EngineHost(engine, new SharedStats(), (report) => reports.push(report));
    await host.handle({ type: 'generate', ticket: 1, request: echoRequest('one', prompt, { maxTokens: 2 }) });
    await clock.settle();
    await host.handle({ type: 'close' });
    return reports.filter((report) => report.type === 'step');
  }

  it('is told together with its tokens', async () => {
    const reports = await reportsOf('ab');
    const ofSteps = reports.filter(({ facts }) => facts.some(({ type }) => type === 'step'));
    expect(ofSteps.map(({ events }) => events.map(({ type }) => type))).toEqual([['tokens'], ['tokens', 'finished']]);
  });

  it('is told before the next one where it brings no token', async () => {
    const reports = await reportsOf('x'.repeat(40));
    const steps = reports.map(({ facts }) => facts.filter(({ type }) => type === 'step').length);
    expect(Math.max(...steps)).toBe(1);
    expect(steps.filter((count) => count === 1).length).toBeGreaterThan(3);
  });
});
