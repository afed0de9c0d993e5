import type { BatchRecord } from '@shoal/protocol';
import { describe, expect, it } from 'vitest';
import { echoRequest, readAnswer, type ScriptedEngine, scriptedEngine } from './testing/scripted-engine.ts';

function batches({ facts }: ScriptedEngine): BatchRecord[] {
  return facts.flatMap((fact) => (fact.type === 'batch' ? [fact.batch] : []));
}

describe('static batching', () => {
  it('starts a lone prompt exactly at the delay', async () => {
    const scripted = scriptedEngine({ maxQueueDelayMs: 50 });
    const answer = readAnswer(scripted.engine.generate(echoRequest('a', 'hi')));
    await scripted.clock.settle();
    scripted.clock.advance(49.9);
    await scripted.clock.settle();
    expect(scripted.runner.runs).toEqual([]);
    scripted.clock.advance(0.1);
    await answer;
    expect(batches(scripted)).toMatchObject([{ requestIds: ['a'], trigger: 'delay', waitedMs: 50, steps: 2 }]);
  });

  it('counts the delay from the oldest arrival', async () => {
    const scripted = scriptedEngine({ maxQueueDelayMs: 50 });
    const first = readAnswer(scripted.engine.generate(echoRequest('a', 'hi')));
    await scripted.clock.settle();
    scripted.clock.advance(49.5);
    const second = readAnswer(scripted.engine.generate(echoRequest('b', 'ho')));
    await scripted.clock.settle();
    expect(scripted.runner.runs).toEqual([]);
    scripted.clock.advance(0.5);
    await Promise.all([first, second]);
    expect(batches(scripted)).toMatchObject([{ requestIds: ['a', 'b'], trigger: 'delay', waitedMs: 50 }]);
  });

  it('starts a full batch at once, and serves 64 prompts in four of 16', async () => {
    const scripted = scriptedEngine({ maxBatchSize: 16, maxQueueDelayMs: 50 });
    const texts = Array.from({ length: 64 }, (_, i) => 'x'.repeat(1 + (i % 7)));
    const answers = await Promise.all(
      texts.map((text, i) => readAnswer(scripted.engine.generate(echoRequest(`r${i}`, text)))),
    );
    expect(answers.map((answer) => answer.text)).toEqual(texts);
    expect(answers.map((answer) => answer.batchSize)).toEqual(texts.map(() => 16));
    expect(batches(scripted)).toHaveLength(4);
    for (const batch of batches(scripted)) {
      expect(batch).toMatchObject({ trigger: 'full', waitedMs: 0 });
      expect(batch.requestIds).toHaveLength(16);
    }
  });

  it('lets finished rows drop out of the decode steps', async () => {
    const scripted = scriptedEngine({ maxBatchSize: 3 });
    const texts = ['abcdef', 'a', 'abc'];
    await Promise.all(texts.map((text) => readAnswer(scripted.engine.generate(echoRequest(text, text)))));
    expect(scripted.runner.runs.map((run) => run.rows)).toEqual([3, 3, 2, 2, 1, 1, 1]);
  });

  it('bounds a prefill in tokens, padding included, and runs a longer prompt alone', async () => {
    const scripted = scriptedEngine({ maxBatchTokens: 40, maxQueueDelayMs: 50 });
    const lengths = [9, 9, 9, 9, 19, 59, 4];
    const answers = lengths.map((length, i) =>
      readAnswer(scripted.engine.generate(echoRequest(`r${i}`, 'x'.repeat(length)))),
    );
    await scripted.clock.settle(2000);
    scripted.clock.advance(50);
    await Promise.all(answers);
    expect(batches(scripted).map((batch) => batch.requestIds)).toEqual([
      ['r0', 'r1', 'r2', 'r3'],
      ['r4'],
      ['r5'],
      ['r6'],
    ]);
    expect(batches(scripted).map((batch) => batch.trigger)).toEqual(['full', 'full', 'full', 'delay']);
  });

  it('takes nobody into a running batch', async () => {
    const scripted = scriptedEngine({ maxBatchSize: 2, maxQueueDelayMs: 10 });
    const first = readAnswer(scripted.engine.generate(echoRequest('a', 'abcdef')));
    await scripted.clock.settle();
    scripted.clock.advance(10);
    await scripted.clock.turn();
    await scripted.clock.turn();
    const second = readAnswer(scripted.engine.generate(echoRequest('b', 'b')));
    await first;
    scripted.clock.advance(10);
    await second;
    expect(batches(scripted).map((batch) => batch.requestIds)).toEqual([['a'], ['b']]);
  });
});
