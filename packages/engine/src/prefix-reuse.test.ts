import { describe, expect, it } from 'vitest';
import { ContinuousScheduler } from './continuous-scheduler.ts';
import { Engine } from './engine.ts';
import type { EngineFact } from './events.ts';
import type { EngineRequest } from './generation-engine.ts';
import { checkInvariants } from './invariants.ts';
import { MINNOW } from './testing/minnow.ts';
import { TestRandom } from './testing/random.ts';
import { GREEDY, readAnswer, type ScriptedEngine, scriptedEngine } from './testing/scripted-engine.ts';

/** A token that depends on every token before it. */
function scrambled(history: readonly number[]): number {
  let hash = 17;
  for (const [i, token] of history.entries()) hash = Math.imul(hash ^ (token * (i + 3)), 0x9e3779b1) >>> 0;
  return hash >>> 24;
}

function alone(prompt: readonly number[], tokens: number): number[] {
  const answer: number[] = [];
  while (answer.length < tokens) answer.push(scrambled([...prompt, ...answer]));
  return answer;
}

function reusing(options: Parameters<typeof scriptedEngine>[0] = {}): ScriptedEngine {
  const scripted = scriptedEngine({
    batching: 'continuous',
    maxBatchSize: 4,
    maxModelLen: 512,
    prefixSlots: 2,
    next: scrambled,
    ...options,
  });
  const { scheduler } = scripted;
  if (!(scheduler instanceof ContinuousScheduler)) throw new Error('not continuous');
  scripted.engine.observe((fact) => {
    if (fact.type === 'step') setImmediate(() => checkInvariants(scheduler.inspect()));
  });
  return scripted;
}

const random = new TestRandom(31);
const SYSTEM = random.tokens(100, 256);
const ask = (engine: Engine, id: string, promptTokenIds: number[], tenant?: string) =>
  readAnswer(engine.generate({ id, promptTokenIds, tenant, params: { ...GREEDY, maxTokens: 5 } }));
const hits = (facts: readonly EngineFact[]) =>
  facts.flatMap((fact) => (fact.type === 'prefix-hit' ? [`${fact.requestId} ${fact.tokens}`] : []));
const computed = (scripted: ScriptedEngine) =>
  scripted.runner.runs.filter((run) => run.phase !== 'decode').map((run) => run.tokens);

describe('prefix reuse', () => {
  it.each([1, 4])('does not take a prefix whose copy failed, nor fails for it: %i slots', async (maxBatchSize) => {
    const scripted = reusing({ maxBatchSize });
    scripted.runner.beforeCopy = () => {
      throw new Error('no memory for a copy');
    };
    for (const own of [1, 2, 3]) {
      const prompt = [...SYSTEM, own, 7, 7];
      expect((await ask(scripted.engine, `${own}`, prompt)).tokenIds).toEqual(alone(prompt, 5));
    }
    expect(hits(scripted.facts)).toEqual([]);
    expect(scripted.facts.filter((fact) => fact.type === 'run-failed')).toHaveLength(1);
    expect(scripted.engine.stats()).toMatchObject({ kvUsedTokens: 0 });
  });

  it('keeps prompts again, a hundred prompts after a copy failed', async () => {
    const scripted = reusing();
    let failures = 0;
    scripted.runner.beforeCopy = () => {
      if (++failures === 1) throw new Error('no memory for a copy');
    };
    for (let i = 0; i < 102; i += 1) await ask(scripted.engine, `${i}`, [...SYSTEM, i, 7, 7]);
    expect(hits(scripted.facts)).toEqual(['101 100']);
  });

  it('copies what a later prompt begins with, and computes the rest alone', async () => {
    const scripted = reusing();
    const [first, second] = [
      [...SYSTEM, 1, 2, 3],
      [...SYSTEM, 4, 5, 6, 7],
    ];
    expect((await ask(scripted.engine, 'first', first)).tokenIds).toEqual(alone(first, 5));
    expect((await ask(scripted.engine, 'second', second)).tokenIds).toEqual(alone(second, 5));
    expect(hits(scripted.facts)).toEqual(['second 100']);
    expect(computed(scripted)).toEqual([103, 4]);
  });

  it('leaves two tokens to compute when a prompt comes again', async () => {
    const scripted = reusing();
    await ask(scripted.engine, 'first', SYSTEM);
    expect((await ask(scripted.engine, 'again', SYSTEM)).tokenIds).toEqual(alone(SYSTEM, 5));
    expect(computed(scripted)).toEqual([100, 2]);
  });

  it('lets those that come together share the first one’s prefill', async () => {
    const scripted = reusing({ maxBatchSize: 8 });
    const prompts = Array.from({ length: 8 }, (_, i) => [...SYSTEM, i, i, i]);
    const answers = await Promise.all(prompts.map((prompt, i) => ask(scripted.engine, `r${i}`, prompt)));
    expect(answers.map((answer) => answer.tokenIds)).toEqual(prompts.map((prompt) => alone(prompt, 5)));
    expect(computed(scripted)).toEqual([103, 3, 3, 3, 3, 3, 3, 3]);
  });

  it('shares nothing across tenants, nor with those that have none', async () => {
    const scripted = reusing();
    await ask(scripted.engine, 'a', [...SYSTEM, 1, 2], 'left');
    await ask(scripted.engine, 'b', [...SYSTEM, 1, 2], 'right');
    await ask(scripted.engine, 'c', [...SYSTEM, 1, 2]);
    await ask(scripted.engine, 'd', [...SYSTEM, 1, 2], 'left');
    // Two rows: the third prompt took the place of the first tenant's.
    expect(hits(scripted.facts)).toEqual([]);
    await ask(scripted.engine, 'e', [...SYSTEM, 3, 4], 'left');
    expect(hits(scripted.facts)).toEqual(['e 100']);
  });

  it('shares nothing across tenants that come together either', async () => {
    const scripted = reusing();
    await Promise.all(['left', 'right'].map((tenant) => ask(scripted.engine, tenant, [...SYSTEM, 1, 2], tenant)));
    expect(hits(scripted.facts)).toEqual([]);
    const late = ask(scripted.engine, 'late', [...SYSTEM, 5, 6], 'left');
    const other = ask(scripted.engine, 'other', [...SYSTEM, 5, 6], 'third');
    await Promise.all([late, other]);
    expect(hits(scripted.facts)).toEqual(['late 100']);
  });

  it('copies from a row that is running, whoever owns it if it is the tenant’s own', async () => {
    const scripted = reusing({ prefixSlots: 0 });
    const running = readAnswer(
      scripted.engine.generate({
        id: 'running',
        tenant: 'left',
        promptTokenIds: SYSTEM,
        params: { ...GREEDY, maxTokens: 60 },
      }),
    );
    while (scripted.runner.runs.length < 3) await scripted.clock.turn();
    await ask(scripted.engine, 'stranger', [...SYSTEM, 1, 2], 'right');
    await ask(scripted.engine, 'friend', [...SYSTEM, 1, 2], 'left');
    expect(hits(scripted.facts)).toEqual(['friend 100']);
    expect((await running).tokenIds).toEqual(alone(SYSTEM, 60));
  });

  it('gives up what was used least recently', async () => {
    const scripted = reusing();
    const prompts = Array.from({ length: 3 }, () => random.tokens(80, 256));
    for (const [i, prompt] of [0, 1, 0, 2, 0, 1].map((i) => [i, prompts[i] ?? []] as const)) {
      await ask(scripted.engine, `p${i}`, prompt);
    }
    expect(hits(scripted.facts)).toEqual(['p0 78', 'p0 78']);
  });

  it('stays within the budget: what is kept goes before anybody waits or is preempted', async () => {
    const scripted = reusing({ budgetTokens: 300, maxModelLen: 300 });
    await ask(scripted.engine, 'kept', random.tokens(150, 256));
    const prompts = [random.tokens(90, 256), random.tokens(95, 256)];
    const answers = await Promise.all(prompts.map((prompt, i) => ask(scripted.engine, `r${i}`, prompt)));
    expect(answers.map((answer) => answer.tokenIds)).toEqual(prompts.map((prompt) => alone(prompt, 5)));
    expect(scripted.facts.filter((fact) => fact.type === 'preempted')).toEqual([]);
  });

  it('stays within the budget where one runs alone, too', async () => {
    const scripted = reusing({ budgetTokens: 300, maxModelLen: 300 });
    const { scheduler } = scripted;
    const used: number[] = [];
    scripted.runner.beforeRun = () => {
      used.push(scheduler.cache.usedTokens);
    };
    await ask(scripted.engine, 'kept', random.tokens(140, 256));
    await ask(scripted.engine, 'large', random.tokens(200, 256));
    expect(Math.max(...used)).toBeLessThanOrEqual(300);
    expect(used).toHaveLength(10);
  });

  it('gives up what is kept when those who run have grown, and preempts nobody for it', async () => {
    const scripted = reusing({ budgetTokens: 300, maxModelLen: 300 });
    await ask(scripted.engine, 'kept', random.tokens(100, 256));
    const prompts = [random.tokens(30, 256), random.tokens(30, 256)];
    const params = { ...GREEDY, maxTokens: 90 };
    const answers = await Promise.all(
      prompts.map((promptTokenIds, i) => readAnswer(scripted.engine.generate({ id: `r${i}`, promptTokenIds, params }))),
    );
    expect(answers.map((answer) => answer.tokenIds)).toEqual(prompts.map((prompt) => alone(prompt, 90)));
    expect(scripted.facts.filter((fact) => fact.type === 'preempted')).toEqual([]);
    expect(scripted.facts).toContainEqual(expect.objectContaining({ type: 'step', phase: 'decode', batchSize: 2 }));
  });

  it('changes no answer, whatever comes in whatever order', async () => {
    const scripted = reusing({ maxBatchSize: 6, budgetTokens: 1200, maxBatchTokens: 64, prefixSlots: 3 });
    const systems = Array.from({ length: 5 }, () => random.tokens(random.integer(70, 150), 256));
    const outcomes = [];
    for (let i = 0; i < 300; i++) {
      const system = systems[random.integer(0, 4)] ?? [];
      const prompt = [
        ...system.slice(0, random.integer(1, system.length)),
        ...random.tokens(random.integer(0, 9), 256),
      ];
      const expected = alone(prompt, 5);
      const answer = ask(scripted.engine, `r${i}`, prompt, random.next() < 0.3 ? 'other' : undefined);
      outcomes.push(answer.then((result) => expect(result.tokenIds).toEqual(expected)));
      for (let turns = random.integer(0, 12); turns > 0; turns--) await scripted.clock.turn();
    }
    await Promise.all(outcomes);
    expect(hits(scripted.facts).length).toBeGreaterThan(15);
  });
});

describe('prefix reuse on a real model', () => {
  it('gives the bytes that each prompt gets alone', async () => {
    const params = { temperature: 1.3, topP: 1, topK: 0, stop: [], seed: 5, maxTokens: 30 };
    const system = 'Once upon a time a cat, a boat and a lamp met by the river, and they told each other this story: ';
    const requests: EngineRequest[] = Array.from({ length: 40 }, (_, i) => ({
      id: `r${i}`,
      prompt: `${system.slice(0, 100 - (i % 3) * 10)}${'and then '.repeat(i % 5)}number ${i}`,
      params,
    }));
    const quiet = await Engine.load({
      modelDirectory: MINNOW,
      intraOpThreads: 1,
      batching: 'static',
      maxQueueDelayMs: 0,
    });
    const expected = [];
    for (const request of requests) expected.push((await readAnswer(quiet.generate(request))).tokenIds);
    await quiet.close();
    const engine = await Engine.load({ modelDirectory: MINNOW, intraOpThreads: 1 });
    const facts: EngineFact[] = [];
    engine.observe((fact) => facts.push(fact));
    const answers = await Promise.all(requests.map((request) => readAnswer(engine.generate(request))));
    await engine.close();
    expect(answers.map((answer) => answer.tokenIds)).toEqual(expected);
    expect(hits(facts).length).toBeGreaterThan(30);
  });
});
