import { expect, it } from 'vitest';
import type { EngineFact } from './events.ts';
import { echoRequest, readAnswer, scriptedEngine } from './testing/scripted-engine.ts';

/** Who joined and left, and in between how many sequences each step had. */
function story(facts: readonly EngineFact[]): string[] {
  return facts.flatMap((fact) => {
    if (fact.type === 'step') return [`${fact.phase} ${fact.batchSize}`];
    if (fact.type === 'joined' || fact.type === 'left') return [`${fact.type} ${fact.requestId}#${fact.choice}`];
    return [];
  });
}

it('tells who joins the batch before its first step, and who leaves after its last', async () => {
  const { engine, facts } = scriptedEngine({ maxBatchSize: 2, batching: 'continuous', maxQueueDelayMs: 0 });
  await Promise.all(['a', 'abc'].map((text) => readAnswer(engine.generate(echoRequest(text, text)))));
  expect(story(facts).filter((line) => !line.startsWith('prefill'))).toEqual([
    'joined a#0',
    'joined abc#0',
    'decode 2',
    'left a#0',
    'decode 1',
    'decode 1',
    'left abc#0',
  ]);
});

it('tells each answer of a request by itself, and one that is aborted', async () => {
  const { engine, facts } = scriptedEngine({ maxBatchSize: 3, batching: 'continuous', maxQueueDelayMs: 0 });
  // Read whole: what each of the two was told is tested elsewhere.
  for await (const _ of engine.generate(echoRequest('n', 'xy', { n: 2 })));
  const leaving = new AbortController();
  for await (const event of engine.generate(echoRequest('gone', 'abcdef'), leaving.signal)) {
    if (event.type === 'tokens') leaving.abort();
  }
  const riders = story(facts).filter((line) => /joined|left/.test(line));
  expect(riders.toSorted()).toEqual(
    ['joined gone#0', 'joined n#0', 'joined n#1', 'left gone#0', 'left n#0', 'left n#1'].toSorted(),
  );
});

it('tells of everybody who joined that it left, whatever happened to it', async () => {
  const { engine, facts, runner } = scriptedEngine({ maxBatchSize: 4, batching: 'continuous', maxQueueDelayMs: 0 });
  let runs = 0;
  runner.beforeRun = () => {
    runs += 1;
    if (runs === 3) throw new Error('out of memory');
  };
  const texts = ['aaaa', 'bb', 'cccccc', 'd', 'eeee', 'f'];
  await Promise.allSettled(texts.map((text) => readAnswer(engine.generate(echoRequest(text, text)))));
  const riding = new Set<string>();
  for (const fact of facts) {
    if (fact.type === 'joined') expect(riding.has(fact.requestId)).toBe(false);
    if (fact.type === 'joined') riding.add(fact.requestId);
    if (fact.type === 'left') expect(riding.delete(fact.requestId)).toBe(true);
  }
  expect([...riding]).toEqual([]);
  expect(facts.filter(({ type }) => type === 'joined').length).toBeGreaterThanOrEqual(texts.length);
});
