import { type GenerateResult, ShoalError } from '@shoal/protocol';
import type { ClaimedJob } from '@shoal/queue';
import { expect, test } from 'vitest';
import { createLogger } from './logger.ts';
import { isLogged, logJob } from './request-log.ts';
import { watchJob } from './watch-job.ts';

const result: GenerateResult = {
  v: 1,
  text: 'hunter2',
  tokenIds: [1],
  finishReason: 'stop',
  seed: 1,
  usage: { promptTokens: 3, completionTokens: 5 },
  timings: { queuedAt: 1, claimedAt: 2, startedAt: 3, firstTokenAt: 4, finishedAt: 5 },
  ride: { worker: 'w', batchId: 1, batchSize: 2 },
};

function claimed(signal = new AbortController().signal): ClaimedJob {
  return {
    ...{ id: 'job-1', priority: 5, queuedAt: 1_000, claimedAt: 1_250, logged: { tokenIds: [], text: '' }, signal },
    request: { v: 1, prompt: 'hunter2', params: { temperature: 0, topP: 1, topK: 0, stop: [] } },
    append: () => {},
    complete: async () => {},
    fail: async () => {},
    handBack: async () => {},
  };
}

async function linesOf(share: number, end: (job: ClaimedJob) => Promise<void>, job = claimed()): Promise<object[]> {
  const lines: object[] = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
  const logger = createLogger({ name: 'worker', level: 'info', fields: { worker: 'w1' }, destination });
  await end(watchJob(job, [logJob(logger, job, { share, traceId: 'abc' })]));
  return lines;
}

test('a job’s end is one line, with everything that finds it again and nothing that was said', async () => {
  const lines = await linesOf(1, async (job) => {
    await job.complete(result);
    await job.fail({ code: 'inference_error', message: 'hunter2' });
  });
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatchObject({ worker: 'w1', jobId: 'job-1', traceId: 'abc', outcome: 'completed', queueMs: 250 });
  expect(lines[0]).toMatchObject({ promptTokens: 3, completionTokens: 5, batchSize: 2, finishReason: 'stop' });
  expect(JSON.stringify(lines)).not.toContain('hunter2');
});

test('failures of ours are logged whatever the share, those of callers are not', async () => {
  const ours = await linesOf(0, (job) => job.fail({ code: 'inference_error', message: '' }));
  expect(ours).toMatchObject([{ level: 40, code: 'inference_error' }]);
  expect(await linesOf(0, (job) => job.fail({ code: 'cancelled', message: '' }))).toEqual([]);
  expect(await linesOf(0, (job) => job.complete(result))).toEqual([]);
});

test('a job that another worker took over is handed back, one that was cancelled is not', async () => {
  const lost = new AbortController();
  const lines = await linesOf(1, async () => lost.abort(new Error('lost')), claimed(lost.signal));
  expect(lines).toMatchObject([{ outcome: 'handed-back' }]);
  const cancelled = new AbortController();
  const job = claimed(cancelled.signal);
  const after = await linesOf(
    1,
    async (watched) => {
      cancelled.abort(new ShoalError('cancelled', ''));
      await watched.fail({ code: 'cancelled', message: '' });
    },
    job,
  );
  expect(after).toMatchObject([{ outcome: 'failed', code: 'cancelled' }]);
});

test('the share of ids is about what was asked for, and always the same ones', () => {
  const ids = Array.from({ length: 2_000 }, (_, index) => `8c1f3a2e-${index.toString(16).padStart(4, '0')}-4b`);
  const logged = ids.filter((id) => isLogged(id, 0.25));
  expect(logged.length).toBeGreaterThan(350);
  expect(logged.length).toBeLessThan(650);
  expect(ids.filter((id) => isLogged(id, 0.25))).toEqual(logged);
  expect(logged.every((id) => isLogged(id, 0.5))).toBe(true);
});
