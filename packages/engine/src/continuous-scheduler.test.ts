import { describe, expect, it } from 'vitest';
import { ContinuousScheduler } from './continuous-scheduler.ts';
import type { EngineRequest, FinishedEvent } from './generation-engine.ts';
import { checkInvariants } from './invariants.ts';
import { BYTE_EOS } from './testing/byte-tokenizer.ts';
import { TestRandom } from './testing/random.ts';
import {
  echoRequest,
  GREEDY,
  readAnswer,
  type ScriptedEngine,
  type ScriptedOptions,
  scriptedEngine,
} from './testing/scripted-engine.ts';

/** A token that depends on every token before it; ends an answer about once in 40. */
function scrambled(history: readonly number[]): number {
  let hash = 17;
  for (const [i, token] of history.entries()) hash = Math.imul(hash ^ (token * (i + 3)), 0x9e3779b1) >>> 0;
  return (hash >>> 8) % 60 === 0 ? BYTE_EOS : hash >>> 24;
}

/** The same without an end. */
const endless = (history: readonly number[]) => scrambled(history) % 256;

/** What the answer must be, whoever rides along. */
function alone(prompt: readonly number[], maxTokens: number, next: typeof scrambled = scrambled): number[] {
  const answer: number[] = [];
  while (answer.length < maxTokens && answer.at(-1) !== BYTE_EOS) answer.push(next([...prompt, ...answer]));
  return answer;
}

function continuous(options: ScriptedOptions): ScriptedEngine {
  const scripted = scriptedEngine({ batching: 'continuous', ...options });
  const { scheduler } = scripted;
  if (!(scheduler instanceof ContinuousScheduler)) throw new Error('not continuous');
  scripted.engine.observe((fact) => {
    // A step's tokens are not sampled yet when its fact is told, so look between the steps.
    if (fact.type === 'step') setImmediate(() => checkInvariants(scheduler.inspect()));
  });
  return scripted;
}

const bytes = (answer: FinishedEvent) => answer.tokenIds;

describe('thousands of random arrivals', () => {
  it.each([
    ['room for all', { budgetTokens: 100_000, maxBatchTokens: 100_000 }],
    ['a cache that overflows', { budgetTokens: 300, maxBatchTokens: 64 }],
    ['the smallest cache there can be', { budgetTokens: 128, maxBatchTokens: 16 }],
    ['decode steps that carry chunks', { budgetTokens: 300, maxBatchTokens: 16, mixes: true }],
  ])('all end once, as if each were alone, and the invariants hold: %s', async (_, limits) => {
    const scripted = continuous({ maxBatchSize: 12, maxModelLen: 128, next: scrambled, ...limits });
    const { engine, clock, facts } = scripted;
    const random = new TestRandom(5);
    const outcomes: Promise<void>[] = [];
    for (let i = 0; i < 700; i++) {
      const prompt = random.tokens(random.integer(1, 60), 256);
      const maxTokens = random.integer(1, 60);
      const controller = new AbortController();
      const request: EngineRequest = { id: `r${i}`, promptTokenIds: prompt, params: { ...GREEDY, maxTokens } };
      const answer = readAnswer(engine.generate(request, controller.signal));
      const aborted = random.next() < 0.1;
      const expected = alone(prompt, maxTokens);
      outcomes.push(
        answer.then((result) => {
          if (result.finishReason === 'abort') expect(expected.slice(0, bytes(result).length)).toEqual(bytes(result));
          else expect(bytes(result)).toEqual(expected);
        }),
      );
      for (let turns = random.integer(0, 6); turns > 0; turns--) await clock.turn();
      if (aborted) controller.abort();
    }
    await Promise.all(outcomes);
    expect(outcomes).toHaveLength(700);
    expect(facts.filter((fact) => fact.type === 'sequence-finished')).toHaveLength(700);
    expect(engine.stats()).toMatchObject({ waiting: 0, running: 0 });
    const preemptions = facts.filter((fact) => fact.type === 'preempted').length;
    if (limits.budgetTokens < 1000) expect(preemptions).toBeGreaterThan(5);
    else expect(preemptions).toBe(0);
  });
});

describe('joining and leaving', () => {
  it('starts a lone prompt at once, and lets a latecomer join a running batch at the next step', async () => {
    const { engine, clock, facts, runner } = continuous({ maxBatchSize: 4 });
    const first = readAnswer(engine.generate(echoRequest('first', 'abcdefghij')));
    while (runner.runs.length < 5) await clock.turn();
    const second = readAnswer(engine.generate(echoRequest('second', 'xy')));
    expect((await Promise.all([first, second])).map((answer) => answer.text)).toEqual(['abcdefghij', 'xy']);
    const ends = facts.flatMap((fact) => (fact.type === 'sequence-finished' ? [fact.requestId] : []));
    expect(ends).toEqual(['second', 'first']);
    expect(runner.runs.map((run) => `${run.phase} ${run.rows}`)).toEqual([
      'prefill 1',
      ...new Array(4).fill('decode 1'),
      'prefill 1',
      'decode 2',
      'decode 2',
      ...new Array(4).fill('decode 1'),
    ]);
  });

  it('gives a freed slot to the longest-waiting at the next step', async () => {
    const { engine, facts } = continuous({ maxBatchSize: 2 });
    const texts = ['aaaaaaaa', 'b', 'cc', 'dd'];
    await Promise.all(texts.map((text) => readAnswer(engine.generate(echoRequest(text, text)))));
    const started = facts.flatMap((fact) => (fact.type === 'started' ? [fact.requestId] : []));
    expect(started).toEqual(texts);
    expect(facts.filter((fact) => fact.type === 'step' && fact.batchSize > 2)).toEqual([]);
  });

  it('waits for company at the start when it is told to', async () => {
    const { engine, clock, runner } = continuous({ maxQueueDelayMs: 20 });
    const first = readAnswer(engine.generate(echoRequest('a', 'aa')));
    await clock.settle();
    clock.advance(19);
    await clock.settle();
    expect(runner.runs).toEqual([]);
    const second = readAnswer(engine.generate(echoRequest('b', 'bb')));
    await clock.settle();
    clock.advance(1);
    await Promise.all([first, second]);
    expect(runner.runs[0]).toMatchObject({ phase: 'prefill', rows: 2 });
  });

  it('prefills prompts of similar lengths together', async () => {
    const { engine, runner } = continuous({ maxBatchSize: 8, maxModelLen: 512, next: scrambled });
    const lengths = [300, 10, 12, 310, 9, 305, 11, 290];
    const random = new TestRandom(1);
    await Promise.all(
      lengths.map((length, i) =>
        readAnswer(
          engine.generate({
            id: `r${i}`,
            promptTokenIds: random.tokens(length, 256),
            params: { ...GREEDY, maxTokens: 1 },
          }),
        ),
      ),
    );
    expect(runner.runs.map((run) => run.rows)).toEqual([4, 4]);
  });
});

describe('a long prompt that joins', () => {
  it('is cut into chunks, with a decode step after each, so that nobody stalls for long', async () => {
    const next = (history: readonly number[]) => history.length % 200;
    const { engine, runner, clock, facts } = continuous({ maxBatchSize: 4, maxModelLen: 1200, next });
    // A decode step takes 10 ms, prefill 1 ms a token.
    runner.duration = (phase, tokens) => clock.advance(phase === 'decode' ? 10 : tokens);
    const running = readAnswer(
      engine.generate({ id: 'running', promptTokenIds: [1, 2, 3], params: { ...GREEDY, maxTokens: 150 } }),
    );
    while (runner.runs.length < 3) await clock.turn();
    const warmUp = readAnswer(
      engine.generate({ id: 'warm', promptTokenIds: new Array(40).fill(1), params: { ...GREEDY, maxTokens: 1 } }),
    );
    await warmUp;
    while (runner.runs.length < 30) await clock.turn();
    const before = runner.runs.length;
    const long = new TestRandom(3).tokens(1001, 200);
    await readAnswer(engine.generate({ id: 'long', promptTokenIds: long, params: { ...GREEDY, maxTokens: 2 } }));
    await running;
    const trace = facts.filter((fact) => fact.type === 'step').slice(before);
    const chunks = trace.filter((fact) => fact.phase === 'prefill');
    expect(chunks.length).toBeGreaterThan(20);
    expect(chunks.reduce((sum, chunk) => sum + chunk.tokens, 0)).toBe(1001);
    expect(Math.max(...chunks.map((chunk) => chunk.durationMs))).toBeLessThanOrEqual(3 * 10 + 1);
    for (const [i, fact] of trace.entries()) {
      if (fact.phase === 'prefill') expect(trace[i + 1]?.phase).toBe('decode');
    }
  });
});

describe('a long prompt that joins, where decode steps carry chunks', () => {
  const next = (history: readonly number[]) => history.length % 200;

  it('rides in every step, so that nobody stalls for long and it starts sooner', async () => {
    const size = { maxBatchSize: 4, maxModelLen: 1200, next, mixes: true };
    const { engine, runner, clock, facts } = continuous(size);
    // A decode step takes 10 ms, half of that in company; prefill 0.5 ms a token, and twice that behind 1,000.
    let past = 0;
    runner.duration = (phase, tokens) => {
      const chunk = phase === 'mixed' ? tokens - 1 : tokens;
      const prefillMs = 0.5 * chunk * (1 + (past + chunk / 2) / 1000);
      clock.advance(phase === 'decode' ? 10 : prefillMs + (phase === 'mixed' ? 5 : 0));
      if (phase !== 'decode') past += chunk;
    };
    const params = { ...GREEDY, maxTokens: 150 };
    const running = readAnswer(engine.generate({ id: 'running', promptTokenIds: [1, 2, 3], params }));
    while (runner.runs.length < 9) await clock.turn();
    for (const id of ['learning', 'long']) {
      past = 0;
      const before = runner.runs.length;
      const promptTokenIds = new TestRandom(id.length).tokens(1001, 200);
      await readAnswer(engine.generate({ id, promptTokenIds, params: { ...GREEDY, maxTokens: 1 } }));
      const trace = facts.filter((fact) => fact.type === 'step').slice(before);
      const riding = trace.filter((fact) => fact.promptTokens !== undefined);
      expect(riding.reduce((sum, fact) => sum + (fact.promptTokens ?? 0), 0)).toBe(1001);
      expect(trace.some((fact) => fact.phase === 'prefill')).toBe(false);
      if (id === 'long') expect(Math.max(...riding.map((fact) => fact.durationMs))).toBeLessThan(4 * 10);
    }
    await running;
  });

  it('leaves several that start together whole, also where they are longer than what may ride', async () => {
    const { engine, runner, clock, facts } = continuous({ maxBatchSize: 8, maxModelLen: 300, next, mixes: true });
    // Riding is dear and a pass apart is cheap, so that chunks of 16 ride and 100 tokens go apart.
    runner.duration = (phase, tokens) => clock.advance(phase === 'mixed' ? 10 * tokens : phase === 'decode' ? 10 : 0.1);
    const running = readAnswer(
      engine.generate({ id: 'a', promptTokenIds: [1, 2], params: { ...GREEDY, maxTokens: 60 } }),
    );
    while (runner.runs.length < 5) await clock.turn();
    const ask = (length: number) => {
      const promptTokenIds = new TestRandom(length).tokens(length, 200);
      const answer = readAnswer(
        engine.generate({ id: `of ${length}`, promptTokenIds, params: { ...GREEDY, maxTokens: 3 } }),
      );
      return answer.then(({ tokenIds }) => expect(tokenIds).toEqual(alone(promptTokenIds, 3, next)));
    };
    await ask(20);
    await Promise.all([ask(10), ask(40), ask(30)]);
    await running;
    expect(runner.runs).toContainEqual({ phase: 'prefill', rows: 3, tokens: 80 });
    expect(facts.filter((fact) => fact.type === 'run-failed')).toEqual([]);
  });

  it('goes alone when it is a single token, whose attention takes another kernel', async () => {
    const { engine, runner, clock } = continuous({ maxBatchSize: 4, next, mixes: true });
    const running = readAnswer(
      engine.generate({ id: 'a', promptTokenIds: [1, 2], params: { ...GREEDY, maxTokens: 9 } }),
    );
    while (runner.runs.length < 3) await clock.turn();
    await readAnswer(engine.generate({ id: 'b', promptTokenIds: [3], params: { ...GREEDY, maxTokens: 2 } }));
    await running;
    expect(runner.runs.map((run) => run.phase)).not.toContain('mixed');
  });

  it('goes alone after such a step failed, and nothing is lost', async () => {
    const { engine, runner, clock, facts } = continuous({ maxBatchSize: 4, maxModelLen: 600, next, mixes: true });
    runner.beforeRun = (phase) => {
      if (phase === 'mixed') throw new Error('no memory for so much at once');
    };
    const running = readAnswer(
      engine.generate({ id: 'a', promptTokenIds: [1, 2], params: { ...GREEDY, maxTokens: 30 } }),
    );
    while (runner.runs.length < 3) await clock.turn();
    const promptTokenIds = new TestRandom(2).tokens(500, 200);
    const joined = readAnswer(engine.generate({ id: 'b', promptTokenIds, params: { ...GREEDY, maxTokens: 4 } }));
    expect((await joined).tokenIds).toEqual(alone(promptTokenIds, 4, next));
    expect((await running).tokenIds).toEqual(alone([1, 2], 30, next));
    expect(facts.filter((fact) => fact.type === 'run-failed')).toHaveLength(1);
  });
});

describe('preemption', () => {
  it('takes the youngest, which later says what it would have said', async () => {
    const { engine, facts } = continuous({ maxBatchSize: 4, maxModelLen: 128, budgetTokens: 160, next: endless });
    const random = new TestRandom(21);
    const prompts = Array.from({ length: 4 }, () => random.tokens(20, 256));
    const never: EngineRequest['params'] = { ...GREEDY, maxTokens: 60 };
    const answers = await Promise.all(
      prompts.map((promptTokenIds, i) => readAnswer(engine.generate({ id: `r${i}`, promptTokenIds, params: never }))),
    );
    expect(answers.map(bytes)).toEqual(prompts.map((prompt) => alone(prompt, 60, endless)));
    const preempted = facts.flatMap((fact) => (fact.type === 'preempted' ? [fact.requestId] : []));
    expect(preempted.length).toBeGreaterThan(0);
    expect(preempted).not.toContain('r0');
  });

  it('of a sequence that is aborted while it waits again ends it at once', async () => {
    const { engine, facts, clock } = continuous({ maxBatchSize: 2, maxModelLen: 128, budgetTokens: 128 });
    const controller = new AbortController();
    const text = 'x'.repeat(60);
    const older = readAnswer(engine.generate(echoRequest('older', text)));
    const younger = readAnswer(engine.generate(echoRequest('younger', 'y'.repeat(30)), controller.signal));
    while (!facts.some((fact) => fact.type === 'preempted')) await clock.turn();
    controller.abort();
    expect(await younger).toMatchObject({ finishReason: 'abort' });
    expect(engine.stats()).toMatchObject({ waiting: 0, running: 1 });
    expect(await older).toMatchObject({ text });
  });
});

describe('on a simulated device whose step takes 20 + 0.2·n ms', () => {
  /** Milliseconds for 64 requests of mixed prompt and answer lengths. */
  async function makespan(batching: 'continuous' | 'static'): Promise<number> {
    const scripted = scriptedEngine({ batching, maxBatchSize: 16, maxModelLen: 1024, next: () => 65 });
    const { engine, runner, clock } = scripted;
    runner.duration = (_, tokens) => clock.advance(20 + 0.2 * tokens);
    const random = new TestRandom(11);
    const begin = clock.now();
    await Promise.all(
      Array.from({ length: 64 }, (_, i) => {
        const length = Math.min(400, Math.ceil(random.logNormal(40, 0.8)));
        const maxTokens = Math.min(400, Math.ceil(random.logNormal(60, 1)));
        const promptTokenIds = random.tokens(length, 256);
        return readAnswer(engine.generate({ id: `r${i}`, promptTokenIds, params: { ...GREEDY, maxTokens } }));
      }),
    );
    return clock.now() - begin;
  }

  it('finishes 64 mixed requests in less than half the time of static batching', async () => {
    const ratio = (await makespan('static')) / (await makespan('continuous'));
    expect(ratio).toBeGreaterThan(2);
  });
});
