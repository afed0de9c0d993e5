import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BatchOutcome, BatchProgress } from '../batch.ts';
import type { ShoalClient } from '../client.ts';
import type { ShoalRequest } from '../request.ts';

export interface ContractSubject {
  /** Its model must be one with a chat template. */
  open(): ShoalClient;
  model: string;
  /** Greedy, answered in a few tokens. */
  easy: { prompt: string; answer: string };
  /** Takes seconds: it is cancelled after its first tokens, on a machine that is busy with other things. */
  long: ShoalRequest;
}

const END_LIMIT_MS = 20_000;

/** What every transport must do, in front of a real queue and worker. */
export function clientContract(name: string, subject: ContractSubject): void {
  const { easy, long } = subject;
  const request = (extra: ShoalRequest = {}): ShoalRequest => ({ prompt: easy.prompt, temperature: 0, ...extra });

  describe(`${name}: client contract`, () => {
    let client: ShoalClient;

    beforeAll(() => {
      client = subject.open();
    });
    afterAll(() => client?.close());

    async function ends(id: string): Promise<string> {
      const until = Date.now() + END_LIMIT_MS;
      while (Date.now() < until) {
        const { status } = await client.job(id);
        if (status !== 'queued' && status !== 'running') return status;
        await sleep(25);
      }
      throw new Error(`job ${id} did not end in ${END_LIMIT_MS} ms`);
    }

    it('generates', async () => {
      const result = await client.generate(request());
      expect(result).toMatchObject({ v: 1, text: easy.answer, finishReason: 'stop' });
      expect(result.usage.completionTokens).toBe(result.tokenIds.length);
      expect(result.ride.batchSize).toBeGreaterThanOrEqual(1);
      expect(result.timings.finishedAt).toBeGreaterThanOrEqual(result.timings.queuedAt);
    });

    it('streams the text that the result has', async () => {
      const stream = client.stream(request());
      expect(stream.id).toBeUndefined();
      let text = '';
      let tokens = 0;
      for await (const delta of stream) {
        text += delta.text;
        tokens += delta.tokenIds.length;
      }
      const result = await stream.result();
      expect(text).toBe(easy.answer);
      expect(result.text).toBe(text);
      expect(tokens).toBe(result.tokenIds.length);
      expect(stream.id).toMatch(/^[\w-]+$/);
    });

    it('carries messages, several answers and log probabilities', async () => {
      const ask = {
        messages: [{ role: 'user' as const, content: easy.prompt }],
        seed: 7,
        n: 2,
        logprobs: 1,
        maxTokens: 6,
      };
      const stream = client.stream(ask);
      const texts = ['', ''];
      for await (const { choice, text } of stream) texts[choice] += text;
      const result = await stream.result();
      expect(result.seed).toBe(7);
      expect(result.choices?.map(({ text }) => text)).toEqual(texts);
      expect(result.logprobs?.[0]?.top).toHaveLength(1);
      expect((await client.generate(ask)).choices).toEqual(result.choices);
    });

    it('submits, looks, waits and replays', async () => {
      const job = await client.submit(request());
      expect(job).toMatchObject({ model: subject.model });
      const result = await client.result(job.id);
      expect(result.text).toBe(easy.answer);
      expect(await client.job(job.id)).toMatchObject({ id: job.id, status: 'completed', result });
      let text = '';
      for await (const delta of client.follow(job.id)) text += delta.text;
      expect(text).toBe(easy.answer);
    });

    it('tells what a job was asked, so that it can be asked again', async () => {
      const messages = [{ role: 'user' as const, content: easy.prompt }];
      const asked = { messages, chatTemplateKwargs: { enable_thinking: false }, n: 2, maxTokens: 6, minP: 0.01 };
      const { id } = await client.submit({ ...asked, temperature: 0.9, stop: ['zzz'], logprobs: 1 });
      const { seed, choices, timings } = await client.result(id);
      const request = await client.request(id);
      // Rendered as of then again, also tomorrow.
      expect(request.askedAt).toBe(timings.queuedAt);
      expect(request).toMatchObject({
        ...asked,
        temperature: 0.9,
        stop: ['zzz'],
        logprobs: 1,
        seed,
        model: subject.model,
      });
      expect((await client.generate(request)).choices).toEqual(choices);
      const again = await client.submit(request);
      expect((await client.request(again.id)).askedAt).toBe(request.askedAt);
      await expect(client.request('no-such-job')).rejects.toMatchObject({ code: 'job_not_found' });
    });

    it('cancels a job', async () => {
      const { id } = await client.submit(long);
      await client.cancel(id);
      await expect(client.result(id)).rejects.toMatchObject({ name: 'ShoalError', code: 'cancelled' });
      expect(await ends(id)).toBe('cancelled');
    });

    it('cancels what nobody reads any more', async () => {
      const stream = client.stream(long);
      for await (const _ of stream) break;
      expect(await ends(stream.id ?? '')).toBe('cancelled');
      await expect(stream.result()).rejects.toMatchObject({ code: 'cancelled' });
    });

    it('cancels what is aborted, and says so', async () => {
      const abort = new AbortController();
      const stream = client.stream(long, { signal: abort.signal });
      const reading = (async () => {
        for await (const _ of stream) abort.abort();
      })();
      await expect(reading).rejects.toMatchObject({ name: 'ShoalError', code: 'cancelled' });
      expect(await ends(stream.id ?? '')).toBe('cancelled');

      const aborted = { signal: AbortSignal.abort() };
      for (const call of [
        () => client.generate(long, aborted),
        () => client.submit(long, aborted),
        () => client.job('x', aborted),
        () => client.result('x', aborted),
        () => client.cancel('x', aborted),
        () => client.queues(aborted),
      ]) {
        await expect(call()).rejects.toMatchObject({ code: 'cancelled' });
      }
    });

    it('leaves a job alone whose follower goes', async () => {
      const { id } = await client.submit(request());
      for await (const _ of client.follow(id)) break;
      expect(await ends(id)).toBe('completed');
    });

    it('tells failures by their codes', async () => {
      await expect(client.job('no-such-job')).rejects.toMatchObject({ code: 'job_not_found' });
      await expect(client.result('no-such-job')).rejects.toMatchObject({ code: 'job_not_found' });
      await expect(client.cancel('no-such-job')).rejects.toMatchObject({ code: 'job_not_found' });
      await expect(client.generate(request({ model: 'kraken' }))).rejects.toMatchObject({ code: 'model_not_found' });
      await expect(client.generate(request({ temperature: 9 }))).rejects.toMatchObject({
        code: 'invalid_request_error',
        param: 'temperature',
      });
      await expect(client.generate({ temperature: 0 })).rejects.toMatchObject({
        code: 'invalid_request_error',
        param: 'prompt',
      });
    });

    it('runs a batch and tells its progress', async () => {
      const requests = [...Array.from({ length: 20 }, () => request()), request({ temperature: 9 })];
      const seen: BatchProgress[] = [];
      const outcomes: BatchOutcome[] = [];
      const options = { concurrency: 8, onProgress: (progress: BatchProgress) => seen.push(progress) };
      for await (const outcome of client.submitBatch(requests, options)) outcomes.push(outcome);
      expect(outcomes.map(({ index }) => index).sort((a, b) => a - b)).toEqual(requests.map((_, index) => index));
      expect(outcomes.filter(({ result }) => result?.text === easy.answer)).toHaveLength(20);
      expect(outcomes.find(({ index }) => index === 20)?.error?.code).toBe('invalid_request_error');
      const tokens = outcomes.reduce((sum, { result }) => sum + (result?.tokenIds.length ?? 0), 0);
      expect(seen.at(-1)).toEqual({ total: 21, submitted: 21, completed: 20, failed: 1, tokens });
      const running = seen.map(({ submitted, completed, failed }) => submitted - completed - failed);
      expect(Math.max(...running)).toBeLessThanOrEqual(8);
    });

    it('lists the queues', async () => {
      const queue = (await client.queues()).find(({ model }) => model === subject.model);
      expect(queue).toMatchObject({ model: subject.model, chat: true });
      expect(queue?.workers).toBeGreaterThanOrEqual(1);
      expect(queue?.waiting).toBeGreaterThanOrEqual(0);
      expect(queue?.running).toBeGreaterThanOrEqual(0);
    });
  });
}
