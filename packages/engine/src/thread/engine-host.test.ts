import { expect, it } from 'vitest';
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
