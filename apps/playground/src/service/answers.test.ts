import { afterEach, expect, it, vi } from 'vitest';
import { type Asking, streamAnswers } from './answers.ts';

afterEach(() => vi.unstubAllGlobals());

/** The jobs that a listener is told of when the API answers with these headers. */
async function jobsTold(headers: Record<string, string>): Promise<readonly string[]> {
  vi.stubGlobal('fetch', async () => new Response('data: [DONE]\n\n', { headers }));
  const asking: Asking = {
    ...{ model: { id: 'm', chat: true, maxModelLen: 512, workers: 1 }, prompts: ['a', 'b'], key: '' },
    ...{ maxTokens: 8, temperature: 0, signal: new AbortController().signal },
  };
  let told: readonly string[] = [];
  await streamAnswers(asking, {
    onJobs: (ids) => {
      told = ids;
    },
    onText: () => {},
    onEnd: () => {},
    onTokens: () => {},
  });
  return told;
}

it.each([
  [{ 'x-shoal-job-id': 'a' }, ['a']],
  [{ 'x-shoal-job-id': 'a-0,a-1' }, ['a-0', 'a-1']],
  [{ 'x-shoal-job-id': 'a', 'x-shoal-job-count': '3' }, ['a-0', 'a-1', 'a-2']],
  [{}, []],
])('knows the jobs from the headers %j', async (headers, ids) => {
  expect(await jobsTold(headers as Record<string, string>)).toEqual(ids);
});
