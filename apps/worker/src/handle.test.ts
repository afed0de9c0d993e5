import type { EngineEvent, EngineModel, EngineRequest, GenerationEngine } from '@shoal/engine';
import { type ErrorBody, type GenerateResult, ShoalError, type TokensEvent } from '@shoal/protocol';
import type { ClaimedJob } from '@shoal/queue';
import { describe, expect, it } from 'vitest';
import { handle } from './handle.ts';

const finished: EngineEvent = {
  type: 'finished',
  text: ' 85',
  tokenIds: [4, 8, 5],
  finishReason: 'stop',
  usage: { promptTokens: 9, completionTokens: 3 },
  seed: 7,
  startedAt: 30,
  firstTokenAt: 31,
  finishedAt: 32,
  batchId: 2,
  batchSize: 5,
};

const invariant = { batch: true, padding: true, chunk: true, replay: true };

function engineModel(fingerprint: string, invariance = invariant): EngineModel {
  return {
    ...{ maxModelLen: 128, vocabSize: 261, chat: false, revision: 'r1', dtype: 'fp32', executionProvider: 'cpu' },
    ...{ fingerprint, invariance },
  };
}

/** What engines were asked, in order. */
const requests: EngineRequest[] = [];

/** An engine that plays the given script; the real one has its own suite. */
function engineThatYields(...script: (EngineEvent | Error)[]): GenerationEngine {
  return {
    model: engineModel('f00d'),
    async *generate(request) {
      requests.push(request);
      for (const step of script) {
        if (step instanceof Error) throw step;
        yield step;
      }
    },
  } as Partial<GenerationEngine> as GenerationEngine;
}

function recordedJob(signal: AbortSignal = new AbortController().signal) {
  const told = { tokens: [] as TokensEvent[], results: [] as GenerateResult[], errors: [] as ErrorBody[] };
  const job: ClaimedJob = {
    id: 'job-1',
    request: { v: 1, prompt: '47 + 38 =', params: { temperature: 0, topP: 1, topK: 0, stop: [] } },
    priority: 5,
    queuedAt: 10,
    claimedAt: 20,
    signal,
    append: (event) => void told.tokens.push(event),
    complete: async (result) => void told.results.push(result),
    fail: async (error) => void told.errors.push(error),
    logged: { tokenIds: [], text: '' },
    handBack: async () => {},
  };
  return { job, told };
}

describe('handle', () => {
  it('passes tokens on and completes with the times and the ride of the request', async () => {
    const { job, told } = recordedJob();
    const tokens: TokensEvent = { type: 'tokens', position: 0, tokenIds: [4, 8, 5], text: ' 85' };
    await handle(job, engineThatYields(tokens, finished), { worker: 'w1', resume: 'exact' });
    expect(told.tokens).toEqual([{ ...tokens, run: { numerics: 'f00d', exact: true } }]);
    expect(told.results[0]?.resumes).toBeUndefined();
    expect(told.errors).toEqual([]);
    expect(told.results).toMatchObject([
      {
        text: ' 85',
        seed: 7,
        timings: { queuedAt: 10, claimedAt: 20, startedAt: 30, firstTokenAt: 31, finishedAt: 32 },
        ride: { worker: 'w1', batchId: 2, batchSize: 5 },
      },
    ]);
  });

  it('asks the engine all that has a say in the answer', async () => {
    const { job } = recordedJob();
    const { prompt: _, ...request } = job.request;
    const messages = [{ role: 'user' as const, content: 'hi' }];
    const asked = { messages, chatTemplateKwargs: { enable_thinking: false }, tenant: 'acme', echo: true };
    const options = { worker: 'w1', resume: 'exact' } as const;
    await handle({ ...job, request: { ...request, ...asked } }, engineThatYields(finished), options);
    expect(requests.at(-1)).toMatchObject({ id: 'job-1', params: request.params, ...asked });
  });

  it('fails with the code of the abort, not with a result', async () => {
    const abort = new AbortController();
    abort.abort(new ShoalError('deadline_exceeded', 'The deadline passed.'));
    const { job, told } = recordedJob(abort.signal);
    await handle(job, engineThatYields({ ...finished, finishReason: 'abort' }), { worker: 'w1', resume: 'exact' });
    expect(told.results).toEqual([]);
    expect(told.errors).toMatchObject([{ code: 'deadline_exceeded' }]);
  });

  it('names the fault of the request when the engine does', async () => {
    const { job, told } = recordedJob();
    await handle(job, engineThatYields(new ShoalError('context_length_exceeded', 'too long')), {
      worker: 'w1',
      resume: 'exact',
    });
    expect(told.errors).toMatchObject([{ code: 'context_length_exceeded', message: 'too long' }]);
  });

  it('keeps the text of an unexpected error to itself: it may hold the prompt', async () => {
    const { job, told } = recordedJob();
    await handle(job, engineThatYields(new Error('boom at "47 + 38"')), { worker: 'w1', resume: 'exact' });
    expect(told.errors).toMatchObject([{ code: 'inference_error' }]);
    expect(JSON.stringify(told.errors)).not.toContain('47');
  });
});

describe('the time that a chat is rendered by', () => {
  const messages = [{ role: 'user' as const, content: 'Which day is it?' }];
  const { params } = recordedJob().job.request;

  it.each([
    ['when the job was added, whoever claims it and whenever', { messages }, 10],
    ['that of the job which it replays', { messages, askedAt: 3 }, 3],
  ])('is %s', async (_, asked, expected) => {
    const { job } = recordedJob();
    for (const [worker, claimedAt] of [['w1', 20] as const, ['w2', 20 + 86_400_000] as const]) {
      const claimed = { ...job, claimedAt, request: { v: 1 as const, ...asked, params } };
      await handle(claimed, engineThatYields(finished), { worker, resume: 'exact' });
      expect(requests.at(-1)).toMatchObject({ messages, askedAt: expected });
    }
  });
});

describe('a job that another claim began', () => {
  const exact = { numerics: 'f00d', exact: true };
  const tokens: TokensEvent = { type: 'tokens', position: 2, tokenIds: [5], text: '5' };

  async function resume(options: {
    runs?: ClaimedJob['logged']['runs'];
    mode?: 'exact' | 'fast';
    invariance?: EngineModel['invariance'];
  }) {
    const { job, told } = recordedJob();
    const { runs, mode = 'exact', invariance } = options;
    const logged = { tokenIds: [4, 8], text: ' 8', ...(runs === undefined ? {} : { runs }) };
    const engine = Object.assign(engineThatYields(tokens, finished), { model: engineModel('f00d', invariance) });
    const labels: string[] = [];
    const onResumed = (label: string) => void labels.push(label);
    await handle({ ...job, logged }, engine, { worker: 'w2', resume: mode, onResumed });
    return { told, labels, resumes: told.results[0]?.resumes };
  }

  it.each([
    ['the same fingerprint', { runs: [exact] }, { count: 1, label: 'identical' }],
    ['the same one three times', { runs: [exact, exact, exact] }, { count: 3, label: 'identical' }],
    ['another fingerprint', { runs: [{ numerics: 'beef', exact: true }] }, { count: 1, label: 'continued' }],
    ['another one in between', { runs: [exact, { numerics: 'beef', exact: true }] }, { count: 2, label: 'continued' }],
    ['a log that does not say', {}, { count: 1, label: 'continued' }],
    ['kernels that company changes', { runs: [{ ...exact, exact: false }] }, { count: 1, label: 'continued' }],
    [
      'such kernels here',
      { runs: [exact], invariance: { ...invariant, batch: false } },
      { count: 1, label: 'continued' },
    ],
    ['RESUME=fast', { runs: [exact], mode: 'fast' as const }, { count: 1, label: 'continued' }],
  ])('by %s says so', async (_, options, expected) => {
    const { told, labels, resumes } = await resume(options);
    expect(resumes).toEqual(expected);
    expect(labels).toEqual([expected.label]);
    const mode = 'mode' in options ? options.mode : 'exact';
    expect(requests.at(-1)?.resumeFrom).toMatchObject({ tokenIds: [4, 8], fast: mode === 'fast' });
    const here = mode === 'exact' && !('invariance' in options);
    expect(told.tokens).toEqual([{ ...tokens, run: { numerics: 'f00d', exact: here } }]);
  });

  it('ends with the log probabilities of all its tokens, choice by choice', async () => {
    const { job, told } = recordedJob();
    const of = (tokenId: number) => ({ tokenId, text: String(tokenId), logprob: -tokenId, top: [] });
    const logged = { tokenIds: [4, 6, 8], text: '468', choices: [0, 1, 0], logprobs: [4, 6, 8].map(of) };
    const choices = [
      { text: '485', tokenIds: [4, 8, 5], finishReason: 'stop' as const, logprobs: [of(5)] },
      { text: '67', tokenIds: [6, 7], finishReason: 'stop' as const, logprobs: [of(7)] },
    ];
    const engine = engineThatYields({ ...finished, logprobs: [of(5)], choices });
    await handle({ ...job, logged }, engine, { worker: 'w2', resume: 'exact' });
    const [result] = told.results;
    expect(result?.logprobs).toEqual([4, 8, 5].map(of));
    expect(result?.choices?.map(({ logprobs }) => logprobs)).toEqual([[4, 8, 5].map(of), [6, 7].map(of)]);
  });
});
