import { Queue } from 'bullmq';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { z } from 'zod';
import { Cluster } from '../cluster/cluster.ts';
import { heldOutPrompts, isRight, lonePrompt, mixed } from '../minnow/held-out.ts';
import { ask, events, insist, requestFor, stream, textOf } from './http.ts';

const batchList = z.array(
  z.object({ id: z.number(), requestIds: z.array(z.string()), trigger: z.string(), waitedMs: z.number() }),
);

const completion = z.object({ choices: z.array(z.object({ index: z.number(), text: z.string() })).length(64) });

describe('the whole path, with real processes', () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.start({
      redisUrl: inject('redisUrl'),
      env: { BATCHING: 'static', MAX_BATCH_SIZE: '16', MAX_QUEUE_DELAY_MS: '50' },
    });
  });
  afterAll(() => cluster?.stop());

  async function batches() {
    const [worker] = cluster.workers;
    const response = await fetch(`${worker?.url}/batches`, { signal: AbortSignal.timeout(5000) });
    return batchList.parse(await response.json());
  }

  it('serves 64 prompts posted at once in at most six batches, and answers each', async () => {
    const rows = heldOutPrompts()
      .filter(({ form }) => form === 'completion')
      .slice(0, 64);
    // One call, so that how soon this process opens 64 sockets is not what is tested.
    const response = await insist(`${cluster.url}/v1/completions`, {
      model: 'minnow',
      prompt: rows.map(({ prompt }) => prompt),
      temperature: 0,
      max_tokens: 400,
    });
    expect(response.status).toBe(200);
    // So many ids are too long for a header: it has what they begin with.
    const [id, count] = ['x-shoal-job-id', 'x-shoal-job-count'].map((name) => response.headers.get(name));
    const ids = Array.from({ length: Number(count) }, (_, index) => `${id}-${index}`);
    const { choices } = completion.parse(await response.json());
    const used = (await batches()).filter((batch) => batch.requestIds.some((id) => ids.includes(id)));

    expect(new Set(ids).size).toBe(64);
    expect(used.flatMap((batch) => batch.requestIds).sort()).toEqual([...ids].sort());
    expect(used.length).toBeLessThanOrEqual(6);
    const wrong = rows.filter((row, index) => !isRight(row, choices[index]?.text ?? ''));
    expect(wrong.length, `wrong: ${JSON.stringify(wrong)}`).toBeLessThanOrEqual(3);
  });

  it('starts a lone prompt because the delay passed, alone in its batch', async () => {
    const row = lonePrompt();
    const { jobId } = await ask(cluster.url, row);
    const batch = (await batches()).find(({ requestIds }) => requestIds.includes(jobId));
    // That it is not later than the delay is shown to the millisecond on an injected clock, in the scheduler's tests.
    expect(batch).toMatchObject({ requestIds: [jobId], trigger: 'delay' });
    expect(batch?.waitedMs).toBeGreaterThanOrEqual(50);
  });

  it('streams the same text that it returns whole', async () => {
    const rows = mixed(8);
    for (const row of rows) {
      const pieces: string[] = [];
      const streamed = await stream(cluster.url, row, (piece) => pieces.push(piece));
      expect(streamed).toBe((await ask(cluster.url, row)).text);
      expect(pieces.join('')).toBe(streamed);
    }
  });

  it('keeps the answers of batch-mates when a reader leaves and a job is garbage', async () => {
    const stories = heldOutPrompts()
      .filter(({ family }) => family === 'story')
      .slice(0, 16);
    const alone: string[] = [];
    for (const row of stories) alone.push((await ask(cluster.url, row)).text);

    const queue = new Queue('minnow', {
      connection: { url: inject('redisUrl') },
      prefix: `{${cluster.prefix}:minnow}`,
    });
    const garbage = await queue.add('generate', { v: 1, prompt: 42, surprise: true });

    const leaver = new AbortController();
    const [first, ...others] = stories;
    if (first === undefined) throw new Error('no story');
    const left = expect(
      (async () => {
        const { path, body } = requestFor(first, { stream: true });
        const response = await fetch(cluster.url + path, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
          signal: leaver.signal,
        });
        for await (const data of events(response)) if (data !== '[DONE]' && textOf(data) !== '') leaver.abort();
      })(),
    ).rejects.toThrow(/abort/i);
    const answers = await Promise.all(others.map((row) => ask(cluster.url, row)));

    await left;
    expect(answers.map(({ text }) => text)).toEqual(alone.slice(1));
    await expect.poll(() => garbage.getState(), { timeout: 10_000 }).toBe('failed');
    const failed = await queue.getJob(garbage.id ?? '');
    expect(failed?.failedReason).toContain('invalid_request_error');
    await queue.close();
  });

  it('takes a job that nobody waits for, and tells how it went', async () => {
    const response = await insist(`${cluster.url}/v1/jobs`, {
      endpoint: '/v1/completions',
      model: 'minnow',
      prompt: '47 + 38 =',
      temperature: 0,
    });
    expect(response.status).toBe(202);
    const { id } = z.object({ id: z.string() }).parse(await response.json());
    const seen: string[] = [];
    const stream = await fetch(`${cluster.url}/v1/jobs/${id}/events`, { signal: AbortSignal.timeout(20_000) });
    for await (const data of events(stream)) seen.push(data);
    expect(seen.length).toBeGreaterThan(0);

    const view = await (await fetch(`${cluster.url}/v1/jobs/${id}`)).json();
    expect(view).toMatchObject({ id, status: 'completed' });
  });

  it('counts what it does', async () => {
    const metrics = async (url: string) => await (await fetch(`${url}/metrics`)).text();
    const api = await metrics(cluster.url);
    const worker = await metrics(cluster.workers[0]?.url ?? '');
    for (const name of ['shoal_requests_total', 'shoal_queue_depth']) expect(api).toMatch(new RegExp(`^${name}`, 'm'));
    for (const name of [
      'shoal_generation_tokens_total',
      'shoal_batch_size_count',
      'shoal_batch_duration_seconds_count',
      'shoal_time_to_first_token_seconds_count',
    ]) {
      expect(worker, name).toMatch(new RegExp(`^${name}(\\{[^}]*\\})? [1-9]`, 'm'));
    }
  });

  it('finishes what it holds on SIGTERM, and exits 0', async () => {
    const row = heldOutPrompts().find(({ family }) => family === 'story');
    const [worker] = cluster.workers;
    if (row === undefined || worker === undefined) throw new Error('no story or no worker');
    let asked = false;
    const text = await stream(cluster.url, row, () => {
      if (!asked) worker.process.signal('SIGTERM');
      asked = true;
    });
    expect(text, `wrong: ${JSON.stringify(row)}`).toSatisfy((answer: string) => isRight(row, answer));
    expect(await worker.process.exitCode(20_000)).toBe(0);
  });
});
