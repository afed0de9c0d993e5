import { describe, expect, it } from 'vitest';
import { ContinuousScheduler } from './continuous-scheduler.ts';
import type { EngineEvent, EngineRequest, FinishedEvent } from './generation-engine.ts';
import { checkInvariants } from './invariants.ts';
import { BYTE_EOS } from './testing/byte-tokenizer.ts';
import { echoRequest, GREEDY, readAnswer, scriptedEngine } from './testing/scripted-engine.ts';

/** Many bytes are likely, so that choices differ; nothing ends by itself. */
function flatEngine(options: Parameters<typeof scriptedEngine>[0] = {}) {
  const scripted = scriptedEngine({ batching: 'continuous', ...options });
  scripted.runner.spoil = (history, logits) => {
    for (let id = 0; id < 256; id++) logits[id] = ((id * 7 + (history.at(-1) ?? 0) * 13 + history.length) % 50) / 10;
    logits[BYTE_EOS] = -50;
  };
  const { scheduler, engine } = scripted;
  if (scheduler instanceof ContinuousScheduler) {
    engine.observe((fact) => {
      if (fact.type === 'step') setImmediate(() => checkInvariants(scheduler.inspect()));
    });
  }
  return scripted;
}

const REQUEST: EngineRequest = {
  id: 'a',
  promptTokenIds: [1, 2, 3, 4, 5, 6],
  params: { temperature: 1, topP: 1, topK: 0, stop: [], seed: 11, maxTokens: 12 },
};
const several = (n: number): EngineRequest => ({ ...REQUEST, params: { ...REQUEST.params, n } });

interface Log {
  tokenIds: number[];
  choices: number[];
}

async function readAll(events: AsyncIterable<EngineEvent>): Promise<{ log: Log; finished: FinishedEvent }> {
  const log: Log = { tokenIds: [], choices: [] };
  for await (const event of events) {
    if (event.type === 'finished') return { log, finished: event };
    expect(event.position).toBe(log.tokenIds.length);
    log.tokenIds.push(...event.tokenIds);
    log.choices.push(...event.tokenIds.map(() => event.choice ?? 0));
  }
  throw new Error('the events ended without a finished one');
}

describe('n > 1', () => {
  it('prefills the prompt once, forks the rows, and counts positions over all choices', async () => {
    const { engine, runner } = flatEngine();
    const { log, finished } = await readAll(engine.generate(several(4)));
    expect(runner.runs.map((run) => `${run.phase} ${run.rows}`)).toEqual([
      'prefill 1',
      ...new Array(11).fill('decode 4'),
    ]);
    expect(finished.choices).toHaveLength(4);
    expect(new Set(finished.choices?.map((choice) => choice.tokenIds.join())).size).toBe(4);
    for (const [index, choice] of (finished.choices ?? []).entries()) {
      expect(log.tokenIds.filter((_, i) => log.choices[i] === index)).toEqual(choice.tokenIds);
    }
    expect(finished).toMatchObject({ usage: { promptTokens: 6, completionTokens: 48 }, finishReason: 'length' });
    expect(finished.tokenIds).toEqual(finished.choices?.[0]?.tokenIds);
  });

  it('gives the first choice what a request for one alone gets', async () => {
    const alone = await readAnswer(flatEngine().engine.generate(REQUEST));
    const { finished } = await readAll(flatEngine().engine.generate(several(3)));
    expect(finished.choices?.[0]?.tokenIds).toEqual(alone.tokenIds);
  });

  it.each([
    ['two slots', { maxBatchSize: 2 }],
    ['one slot', { maxBatchSize: 1 }],
    ['a cache that overflows', { maxBatchSize: 5, maxModelLen: 64, budgetTokens: 64 }],
    ['static batching', { batching: 'static' as const, maxBatchSize: 3 }],
  ])('gives the same choices, and tells them in the same order, with %s', async (_, options) => {
    const wide = await readAll(flatEngine().engine.generate(several(5)));
    const narrow = flatEngine({ maxQueueDelayMs: 0, ...options });
    const { log, finished } = await readAll(narrow.engine.generate(several(5)));
    expect(finished.choices).toEqual(wide.finished.choices);
    expect(log).toEqual(wide.log);
    expect(narrow.engine.stats()).toMatchObject({ waiting: 0, running: 0 });
  });

  it('lets a choice end early, the first one too, while the others go on', async () => {
    const { engine, runner } = flatEngine();
    runner.spoil = (_, logits) => {
      logits.fill(0);
      logits.fill(-50, 8, 256);
      logits[BYTE_EOS] = 1;
    };
    const { log, finished } = await readAll(engine.generate(several(8)));
    const lengths = finished.choices?.map((choice) => choice.tokenIds.length) ?? [];
    expect(new Set(lengths).size).toBeGreaterThan(2);
    // In turn, round by round; who has ended is passed over.
    const rounds = Array.from({ length: Math.max(...lengths) }, (_, round) =>
      [...lengths.keys()].filter((choice) => round < (lengths[choice] ?? 0)),
    );
    expect(log.choices).toEqual(rounds.flat());
    expect(finished.usage.completionTokens).toBe(lengths.reduce((sum, length) => sum + length, 0));
  });

  it('resumes each choice from its part of the log', async () => {
    const { log, finished } = await readAll(flatEngine().engine.generate(several(3)));
    for (const cut of [0, 1, 2, 3, 7, 20, 36]) {
      const resumeFrom = { tokenIds: log.tokenIds.slice(0, cut), choices: log.choices.slice(0, cut) };
      let last: FinishedEvent | undefined;
      const { tokenIds, choices } = structuredClone(resumeFrom);
      // One slot: the choices are generated one after the other.
      const heir = flatEngine({ maxBatchSize: cut % 2 === 0 ? 8 : 1 }).engine;
      for await (const event of heir.generate({ ...several(3), resumeFrom })) {
        if (event.type === 'finished') last = event;
        else {
          expect(event.position).toBe(tokenIds.length);
          tokenIds.push(...event.tokenIds);
          choices.push(event.choice ?? 0);
        }
      }
      expect(last?.choices).toEqual(finished.choices);
      // Whoever had read more than the log still has reads on at its position.
      expect({ tokenIds, choices }).toEqual(log);
    }
  });

  it('frees every row when it is aborted, or when one choice fails', async () => {
    const { engine, runner } = flatEngine();
    for await (const event of engine.generate(several(4))) if (event.type === 'tokens' && event.position > 8) break;
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(engine.stats()).toMatchObject({ waiting: 0, running: 0 });
    let rows = 0;
    runner.spoil = (history, logits) => {
      for (let id = 0; id < 256; id++) logits[id] = (id * 7) % 50;
      if (history.length === 9 && ++rows === 2) logits.fill(Number.NaN);
    };
    await expect(readAll(engine.generate(several(4)))).rejects.toMatchObject({ code: 'inference_error' });
    expect(engine.stats()).toMatchObject({ waiting: 0, running: 0 });
  });
});

describe('ending', () => {
  const ask = (params: Partial<EngineRequest['params']>) =>
    readAnswer(scriptedEngine({ maxBatchSize: 1 }).engine.generate(echoRequest('a', 'abcdef', params)));

  it('at a stop token, which is counted but not written', async () => {
    const answer = await ask({ stopTokenIds: [0x64] });
    expect(answer).toMatchObject({ text: 'abc', tokenIds: [0x61, 0x62, 0x63, 0x64], finishReason: 'stop' });
  });

  it('not at the end-of-sequence token when it is to be ignored', async () => {
    const answer = await ask({ ignoreEos: true, maxTokens: 10 });
    expect(answer).toMatchObject({ finishReason: 'length', usage: { completionTokens: 10 } });
    expect(answer.text.startsWith('abcdef')).toBe(true);
  });

  it('not before minTokens, at any of the three', async () => {
    const answer = await ask({ minTokens: 4, stop: ['b', 'e'], stopTokenIds: [0x63] });
    expect(answer.tokenIds.length).toBeGreaterThan(4);
    expect(answer.tokenIds.slice(0, 4)).not.toContain(0x63);
    expect(answer.text.startsWith('ab')).toBe(true);
  });

  it('refuses what cannot be', async () => {
    await expect(ask({ minTokens: 5, maxTokens: 4 })).rejects.toMatchObject({ code: 'invalid_request_error' });
    await expect(ask({ stopTokenIds: [999] })).rejects.toMatchObject({ param: 'stopTokenIds' });
    await expect(ask({ logitBias: { 257: 1 } })).rejects.toMatchObject({ param: 'logitBias' });
  });
});

describe('logprobs', () => {
  it('come with every token, and with the result', async () => {
    const { engine } = scriptedEngine({ maxBatchSize: 1 });
    const seen = [];
    for await (const event of engine.generate(echoRequest('a', 'hé', { logprobs: 2 }))) {
      if (event.type === 'tokens') seen.push(...(event.logprobs ?? []));
      else expect(event.logprobs).toEqual(seen);
    }
    expect(seen.map((entry) => entry.text)).toEqual(['h', '\uFFFD', '\uFFFD', '']);
    expect(seen.map((entry) => entry.top.length)).toEqual([2, 2, 2, 2]);
    expect(seen[0]).toMatchObject({ tokenId: 0x68, logprob: expect.closeTo(-Math.log(1 + 256 * Math.exp(-10)), 4) });
  });

  it('are absent where they were not asked for', async () => {
    const { engine } = scriptedEngine({ maxBatchSize: 1 });
    const answer = await readAnswer(engine.generate({ ...echoRequest('a', 'x'), params: GREEDY }));
    expect(answer).not.toHaveProperty('logprobs');
    expect(answer).not.toHaveProperty('choices');
  });
});
