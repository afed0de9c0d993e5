import { describe, expect, it } from 'vitest';
import type { EngineRequest } from './generation-engine.ts';
import { echoRequest, GREEDY, readAnswer, scriptedEngine } from './testing/scripted-engine.ts';

describe('Engine', () => {
  it('tells tokens in order, then the result; the ending token is counted but not written', async () => {
    const { engine } = scriptedEngine({ maxBatchSize: 1 });
    const answer = await readAnswer(engine.generate(echoRequest('a', 'hé')));
    expect(answer).toMatchObject({
      text: 'hé',
      tokenIds: [0x68, 0xc3, 0xa9, 256],
      finishReason: 'stop',
      usage: { promptTokens: 4, completionTokens: 4 },
      seed: 7,
      batchId: 1,
      batchSize: 1,
    });
  });

  it('ends at maxTokens, at the context, and at a stop string', async () => {
    const { engine } = scriptedEngine({ maxBatchSize: 3, maxModelLen: 12 });
    const [short, full, stopped] = await Promise.all([
      readAnswer(engine.generate(echoRequest('a', 'abcdef', { maxTokens: 2 }))),
      readAnswer(engine.generate(echoRequest('b', 'abcdefgh'))),
      readAnswer(engine.generate(echoRequest('c', 'abcdef', { stop: ['cd'] }))),
    ]);
    expect(short).toMatchObject({ text: 'ab', finishReason: 'length' });
    expect(full).toMatchObject({
      text: 'abc',
      finishReason: 'length',
      usage: { promptTokens: 9, completionTokens: 3 },
    });
    expect(stopped).toMatchObject({ text: 'ab', finishReason: 'stop', usage: { completionTokens: 4 } });
  });

  it.each<[string, Partial<EngineRequest>, string, RegExp]>([
    ['an empty prompt', { prompt: '' }, 'invalid_request_error', /empty/],
    ['no prompt at all', {}, 'invalid_request_error', /exactly one/],
    ['two prompts', { prompt: 'a', promptTokenIds: [1] }, 'invalid_request_error', /exactly one/],
    [
      'messages for a model without a template',
      { messages: [{ role: 'user', content: 'a' }] },
      'invalid_request_error',
      /no chat template/,
    ],
    ['a token outside the vocabulary', { promptTokenIds: [1, 257] }, 'invalid_request_error', /257 .* 0 … 256/],
    [
      'a prompt as long as the context',
      { prompt: 'x'.repeat(256) },
      'context_length_exceeded',
      /256 tokens.*256 tokens/,
    ],
    ['a prompt far longer', { prompt: 'x'.repeat(100_000) }, 'context_length_exceeded', /more than 256/],
  ])('refuses %s, and serves the others', async (_, prompt, code, message) => {
    const { engine } = scriptedEngine({ maxBatchSize: 15 });
    const good = Array.from({ length: 15 }, (_, i) => readAnswer(engine.generate(echoRequest(`g${i}`, `good ${i}`))));
    const bad = readAnswer(engine.generate({ id: 'bad', params: GREEDY, ...prompt }));
    await expect(bad).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    expect((await Promise.all(good)).map((answer) => answer.text)).toEqual(good.map((_, i) => `good ${i}`));
  });

  it('refuses an id that is in flight, and takes it again afterwards', async () => {
    const { engine } = scriptedEngine({ maxBatchSize: 1 });
    const first = readAnswer(engine.generate(echoRequest('a', 'x')));
    await expect(readAnswer(engine.generate(echoRequest('a', 'y')))).rejects.toMatchObject({
      code: 'invalid_request_error',
    });
    await first;
    expect(await readAnswer(engine.generate(echoRequest('a', 'y')))).toMatchObject({ text: 'y' });
  });

  it('fails a row with broken logits alone', async () => {
    const { engine, runner } = scriptedEngine({ maxBatchSize: 4 });
    runner.spoil = (history, logits) => {
      if (history[1] === 0x62 && history.length === 7) logits.fill(Number.NaN);
    };
    const texts = ['aaaaa', 'bbbbb', 'ccccc', 'ddddd'];
    const answers = await Promise.allSettled(texts.map((text) => readAnswer(engine.generate(echoRequest(text, text)))));
    expect(answers.map((answer) => (answer.status === 'fulfilled' ? answer.value.text : answer.reason.code))).toEqual([
      'aaaaa',
      'inference_error',
      'ccccc',
      'ddddd',
    ]);
  });

  it('tries a batch again whose run failed once, and leaves the others alone', async () => {
    const { engine, runner } = scriptedEngine({ maxBatchSize: 2 });
    let runs = 0;
    runner.beforeRun = () => {
      if (++runs === 2) throw new Error('the device went away');
    };
    const texts = ['aa', 'bb', 'cc', 'dd'];
    const answers = await Promise.allSettled(texts.map((text) => readAnswer(engine.generate(echoRequest(text, text)))));
    expect(answers.map((answer) => (answer.status === 'fulfilled' ? answer.value.text : answer.reason.code))).toEqual([
      'aa',
      'bb',
      'cc',
      'dd',
    ]);
    expect(engine.stats()).toMatchObject({ waiting: 0, running: 0 });
  });
});

describe('aborting', () => {
  it('frees the row at the next step and leaves the mates as they were', async () => {
    const { engine, runner } = scriptedEngine({ maxBatchSize: 4 });
    const texts = ['aaaaaaaa', 'bbbbbbbb', 'cccccccc', 'dddddddd'];
    const controller = new AbortController();
    const answers = texts.map((text, i) =>
      readAnswer(engine.generate(echoRequest(text, text), i === 1 ? controller.signal : undefined)),
    );
    runner.beforeRun = () => {
      if (runner.runs.length === 3) controller.abort();
    };
    const results = await Promise.all(answers);
    expect(results.map((answer) => answer.text)).toEqual(['aaaaaaaa', 'bbbb', 'cccccccc', 'dddddddd']);
    expect(results[1]).toMatchObject({ finishReason: 'abort' });
    expect(runner.runs.map((run) => run.rows)).toEqual([4, 4, 4, 4, 3, 3, 3, 3, 3]);
  });

  it('of a reader that leaves its loop counts as an abort', async () => {
    const { engine, runner } = scriptedEngine({ maxBatchSize: 2 });
    const mate = readAnswer(engine.generate(echoRequest('mate', 'abcdefgh')));
    for await (const event of engine.generate(echoRequest('leaver', 'abcdefgh'))) {
      if (event.type === 'tokens') break;
    }
    expect(await mate).toMatchObject({ text: 'abcdefgh' });
    expect(runner.runs.at(-1)).toMatchObject({ rows: 1 });
  });

  it('while waiting ends without a token, and frees the id', async () => {
    const { engine, clock, runner } = scriptedEngine();
    const controller = new AbortController();
    const answer = readAnswer(engine.generate(echoRequest('a', 'x'), controller.signal));
    await clock.settle();
    controller.abort();
    expect(await answer).toMatchObject({ finishReason: 'abort', tokenIds: [], text: '' });
    expect(runner.runs).toEqual([]);
    expect(engine.stats()).toMatchObject({ waiting: 0, running: 0 });
  });

  it('before the start ends the same way', async () => {
    const { engine } = scriptedEngine();
    const answer = readAnswer(engine.generate(echoRequest('a', 'x'), AbortSignal.abort()));
    expect(await answer).toMatchObject({ finishReason: 'abort' });
  });

  it('lets a request come back under its id before the aborted one has left', async () => {
    const { engine } = scriptedEngine({ maxBatchSize: 1 });
    const controller = new AbortController();
    const lost = readAnswer(engine.generate(echoRequest('a', 'hello'), controller.signal));
    controller.abort();
    const again = readAnswer(engine.generate(echoRequest('a', 'hello')));
    expect(await lost).toMatchObject({ finishReason: 'abort' });
    expect(await again).toMatchObject({ text: 'hello', finishReason: 'stop' });
    await expect(readAnswer(engine.generate(echoRequest('a', 'free again')))).resolves.toMatchObject({
      text: 'free again',
    });
  });

  it('close aborts what runs and what waits, then refuses', async () => {
    const { engine, runner, clock } = scriptedEngine({ maxBatchSize: 1 });
    const answers = ['aaaa', 'bbbb'].map((text) => readAnswer(engine.generate(echoRequest(text, text))));
    await clock.settle(3);
    await engine.close();
    await engine.close();
    expect((await Promise.all(answers)).map((answer) => answer.finishReason)).toEqual(['abort', 'abort']);
    expect(runner.closed).toBe(true);
    await expect(readAnswer(engine.generate(echoRequest('c', 'c')))).rejects.toMatchObject({ code: 'unavailable' });
  });
});

describe('a reader that falls behind', () => {
  it('finds its tokens merged into one event', async () => {
    const { engine, clock } = scriptedEngine({ maxBatchSize: 1 });
    const events = engine.generate(echoRequest('a', 'abcdef'));
    await clock.settle(100);
    const seen = [];
    for await (const event of events) seen.push(event);
    expect(seen.map((event) => event.type)).toEqual(['tokens', 'finished']);
    expect(seen[0]).toMatchObject({ position: 0, text: 'abcdef' });
  });
});

describe('resuming', () => {
  /** What a reader has been told when the log holds `tokens` tokens. */
  async function begin(
    text: string,
    tokens: number,
    stop: string[] = [],
  ): Promise<{ tokenIds: number[]; text: string }> {
    const { engine } = scriptedEngine({ maxBatchSize: 1 });
    const told = { tokenIds: [] as number[], text: '' };
    if (tokens === 0) return told;
    for await (const event of engine.generate(echoRequest('a', text, { stop }))) {
      if (event.type !== 'tokens') break;
      told.tokenIds.push(...event.tokenIds);
      told.text += event.text;
      if (told.tokenIds.length === tokens) break;
    }
    return told;
  }

  it.each([
    ['nothing said yet', 'hello', [], 0],
    ['in the middle', 'hello', [], 3],
    ['inside a character', 'h€llo', [], 2],
    ['inside what may become a stop string', 'one END two', ['END'], 6],
    ['with the last token missing', 'hello', [], 5],
  ])('goes on where the log ends: %s', async (_, text, stop, cut) => {
    const whole = await readAnswer(
      scriptedEngine({ maxBatchSize: 1 }).engine.generate(echoRequest('a', text, { stop })),
    );
    const told = await begin(text, cut, stop);
    const { engine, runner } = scriptedEngine({ maxBatchSize: 1 });
    const rest = engine.generate({ ...echoRequest('a', text, { stop }), resumeFrom: { tokenIds: told.tokenIds } });
    const resumed = await readAnswer(rest, told);
    expect(resumed).toMatchObject({ text: whole.text, tokenIds: whole.tokenIds, finishReason: whole.finishReason });
    // The prompt is prefilled as before, and every logged token is a decode step.
    expect(runner.runs.filter((run) => run.phase === 'decode')).toHaveLength(whole.tokenIds.length - 1);
  });

  it('computes what was said in one pass with the prompt when that is to be fast', async () => {
    const { engine, runner } = scriptedEngine({ maxBatchSize: 1 });
    const resumeFrom = { tokenIds: [...Buffer.from('hel')], fast: true };
    const rest = engine.generate({ ...echoRequest('a', 'hello'), resumeFrom });
    expect(await readAnswer(rest, { tokenIds: [...resumeFrom.tokenIds], text: 'hel' })).toMatchObject({
      text: 'hello',
    });
    const [prefill, ...others] = runner.runs;
    expect(prefill).toMatchObject({ phase: 'prefill' });
    expect(others.map((run) => run.phase)).toEqual(['decode', 'decode']);
  });

  it('computes nothing when the log holds the whole answer', async () => {
    const whole = await readAnswer(scriptedEngine({ maxBatchSize: 1 }).engine.generate(echoRequest('a', 'hi')));
    const { engine, runner } = scriptedEngine({ maxBatchSize: 1 });
    const rest = engine.generate({ ...echoRequest('a', 'hi'), resumeFrom: { tokenIds: whole.tokenIds } });
    // A result says in what company it ran: alone, and not 0.
    expect(await readAnswer(rest, whole)).toMatchObject({ text: 'hi', finishReason: 'stop', batchSize: 1 });
    expect(runner.runs).toEqual([]);
  });

  it('refuses tokens after the end, and a sampled answer without its seed', async () => {
    const { engine } = scriptedEngine({ maxBatchSize: 1 });
    const request = echoRequest('a', 'hi');
    const after = engine.generate({ ...request, resumeFrom: { tokenIds: [256, 65] } });
    await expect(readAnswer(after)).rejects.toMatchObject({ code: 'invalid_request_error', param: 'resumeFrom' });
    const seedless = engine.generate({ ...echoRequest('a', 'hi', { temperature: 1 }), resumeFrom: { tokenIds: [65] } });
    await expect(readAnswer(seedless)).rejects.toMatchObject({ code: 'invalid_request_error', param: 'seed' });
    expect(engine.stats()).toMatchObject({ waiting: 0, running: 0 });
  });
});
