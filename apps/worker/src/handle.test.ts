import type { EngineEvent, GenerationEngine } from '@shoal/engine';
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

/** An engine that plays the given script; the real one has its own suite. */
function engineThatYields(...script: (EngineEvent | Error)[]): GenerationEngine {
  return {
    async *generate() {
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
    await handle(job, engineThatYields(tokens, finished), 'w1');
    expect(told.tokens).toEqual([tokens]);
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

  it('fails with the code of the abort, not with a result', async () => {
    const abort = new AbortController();
    abort.abort(new ShoalError('deadline_exceeded', 'The deadline passed.'));
    const { job, told } = recordedJob(abort.signal);
    await handle(job, engineThatYields({ ...finished, finishReason: 'abort' }), 'w1');
    expect(told.results).toEqual([]);
    expect(told.errors).toMatchObject([{ code: 'deadline_exceeded' }]);
  });

  it('names the fault of the request when the engine does', async () => {
    const { job, told } = recordedJob();
    await handle(job, engineThatYields(new ShoalError('context_length_exceeded', 'too long')), 'w1');
    expect(told.errors).toMatchObject([{ code: 'context_length_exceeded', message: 'too long' }]);
  });

  it('keeps the text of an unexpected error to itself: it may hold the prompt', async () => {
    const { job, told } = recordedJob();
    await handle(job, engineThatYields(new Error('boom at "47 + 38"')), 'w1');
    expect(told.errors).toMatchObject([{ code: 'inference_error' }]);
    expect(JSON.stringify(told.errors)).not.toContain('47');
  });
});
