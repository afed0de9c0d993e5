import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
// Threads run compiled code only, so this test takes the built package.
import { Engine, EngineThread } from '../../dist/index.js';
import type { EngineFact } from '../events.ts';
import { MINNOW } from '../testing/minnow.ts';
import { GREEDY, readAnswer } from '../testing/scripted-engine.ts';

const OPTIONS = { modelDirectory: MINNOW, intraOpThreads: 1, maxQueueDelayMs: 0 };

describe('EngineThread', () => {
  let thread: EngineThread;

  beforeAll(async () => {
    thread = await EngineThread.start(OPTIONS);
  });
  afterAll(() => thread.close());

  it('answers as the engine in this thread does, and tells the same facts', async () => {
    const engine = await Engine.load(OPTIONS);
    expect(thread.model).toEqual(engine.model);
    const facts: EngineFact[] = [];
    const stop = thread.observe((fact) => facts.push(fact));
    const request = { id: 'a', prompt: 'What is 3 plus 4?', params: { ...GREEDY, maxTokens: 20 } };
    const [here, there] = [await readAnswer(engine.generate(request)), await readAnswer(thread.generate(request))];
    stop();
    await engine.close();
    expect(there).toMatchObject({ text: here.text, tokenIds: here.tokenIds, usage: here.usage });
    expect(facts.filter((fact) => fact.type === 'step')).toHaveLength(here.tokenIds.length);
    expect(facts).toContainEqual(expect.objectContaining({ type: 'sequence-finished', requestId: 'a' }));
  });

  it('counts steps in memory that this thread sees', async () => {
    const before = Atomics.load(thread.stepCounter, 0);
    await readAnswer(thread.generate({ id: 'b', prompt: 'x', params: { ...GREEDY, maxTokens: 5 } }));
    expect(Atomics.load(thread.stepCounter, 0)).toBeGreaterThan(before);
    expect(thread.stats()).toMatchObject({
      waiting: 0,
      running: 0,
      slots: 16,
      steps: Atomics.load(thread.stepCounter, 0),
    });
  });

  it('carries errors across as themselves', async () => {
    const answer = readAnswer(thread.generate({ id: 'c', promptTokenIds: new Array(600).fill(1), params: GREEDY }));
    await expect(answer).rejects.toMatchObject({
      name: 'ShoalError',
      code: 'context_length_exceeded',
      param: 'promptTokenIds',
    });
  });

  it('stops an aborted request', async () => {
    const controller = new AbortController();
    const request = { id: 'd', prompt: 'x', params: { ...GREEDY, ignoreEos: true } };
    let finishReason = '';
    for await (const event of thread.generate(request, controller.signal)) {
      if (event.type === 'tokens') controller.abort();
      else finishReason = event.finishReason;
    }
    expect(finishReason).toBe('abort');
    expect(thread.stats()).toMatchObject({ waiting: 0, running: 0 });
  });

  it('rejects at the start as Engine.load does', async () => {
    const start = EngineThread.start({ modelDirectory: '/nowhere' });
    await expect(start).rejects.toMatchObject({ code: 'model_not_found', message: /nowhere/ });
  });
});

describe('threads that are started together', () => {
  /** A thread that notes when it begins to load and when it gives up, and takes a while between. */
  const entry = new URL(
    `data:text/javascript,${encodeURIComponent(`
      import { appendFileSync } from 'node:fs';
      import { parentPort, workerData } from 'node:worker_threads';
      const note = (line) => appendFileSync(workerData.options.modelDirectory, line);
      note('begin ');
      setTimeout(() => {
        note('end ');
        parentPort.postMessage({ type: 'refused', error: { code: 'model_not_found', message: 'no model' } });
      }, 50);
    `)}`,
  );

  it('load one after the other, whatever becomes of those before', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'shoal-threads-'));
    const modelDirectory = join(directory, 'log');
    const starts = [1, 2, 3].map(() => EngineThread.start({ modelDirectory }, { entry }));
    for (const { status } of await Promise.allSettled(starts)) expect(status).toBe('rejected');
    expect(await readFile(modelDirectory, 'utf8')).toBe('begin end '.repeat(3));
    await rm(directory, { recursive: true });
  });
});

describe('interrupting', () => {
  it('ends the run in progress for those in it, and for nobody else', async () => {
    const thread = await EngineThread.start({ ...OPTIONS, maxBatchSize: 64 });
    const request = { prompt: 'Tell a story about a cat.', params: { ...GREEDY, ignoreEos: true } };
    const doomed = Promise.allSettled(
      Array.from({ length: 64 }, (_, i) => readAnswer(thread.generate({ id: `d${i}`, ...request }))),
    );
    let ended = false;
    void doomed.then(() => {
      ended = true;
    });
    // A run may just be over when it is told to end, and that word then meets the next one: never is it lost.
    while (!ended) {
      expect(await thread.interrupt()).toBe(true);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    for (const outcome of await doomed) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'inference_error' } });
    }
    let answered = false;
    // The last word may have come after the last run: then it meets this one.
    for (let attempt = 0; attempt < 2 && !answered; attempt++) {
      const next = { id: `next${attempt}`, prompt: 'x', params: { ...GREEDY, maxTokens: 2 } };
      answered = await readAnswer(thread.generate(next)).then(
        () => true,
        () => false,
      );
    }
    expect(answered).toBe(true);
    await thread.close();
  });
});

describe('the death of the thread', () => {
  /** A thread that says it is ready, and dies at the first command. */
  const entry = new URL(
    `data:text/javascript,${encodeURIComponent(`
      import { parentPort } from 'node:worker_threads';
      parentPort.on('message', () => process.exit(9));
      parentPort.postMessage({ type: 'ready', model: {}, interruptHandle: 0n });
    `)}`,
  );

  it('rejects everything in flight and all that comes, and tells its owner once', async () => {
    const exits: string[] = [];
    const thread = await EngineThread.start(OPTIONS, { entry, onExit: (error) => exits.push(error.code) });
    const request = { id: 'a', prompt: 'x', params: GREEDY };
    const answers = [readAnswer(thread.generate(request)), readAnswer(thread.generate({ ...request, id: 'b' }))];
    for (const answer of await Promise.allSettled(answers)) {
      expect(answer).toMatchObject({ status: 'rejected', reason: { code: 'inference_error', message: /exit code 9/ } });
    }
    await expect(readAnswer(thread.generate(request))).rejects.toMatchObject({ code: 'inference_error' });
    expect(exits).toEqual(['inference_error']);
    await thread.close();
  });
});
