import { cp, mkdtemp, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { launchRedis, type RunningRedis } from '../../scripts/redis.mjs';
import { Cluster, MODEL_DIRECTORY } from '../cluster/cluster.ts';
import { AppProcess } from '../cluster/process.ts';
import { lonePrompt } from '../minnow/held-out.ts';
import { ask, post } from './http.ts';

const main = (app: string) => fileURLToPath(new URL(`../../apps/${app}/dist/main.js`, import.meta.url));

/** Starts a process that must refuse to start; returns what it said. */
async function refusal(app: string, env: Record<string, string>): Promise<string> {
  const process = new AppProcess(app, main(app), { REDIS_URL: inject('redisUrl'), METRICS_PORT: '0', ...env });
  const code = await process.exitCode(20_000);
  expect(code, process.output).toBeGreaterThan(0);
  return process.output;
}

describe('a worker that cannot start says why in a line', () => {
  let copy: string;

  beforeEach(async () => {
    copy = await mkdtemp(join(tmpdir(), 'shoal-model-'));
    await cp(MODEL_DIRECTORY, copy, { recursive: true });
  });
  afterEach(() => rm(copy, { recursive: true, force: true }));

  it('names the model directory that is not there', async () => {
    const output = await refusal('worker', { MODEL: join(copy, 'nowhere') });
    expect(output).toContain('nowhere');
    expect(output).not.toMatch(/^\s+at /m);
  });

  it('names the file that is corrupt', async () => {
    await truncate(join(copy, 'onnx/model.onnx'), 1000);
    const output = await refusal('worker', { MODEL: copy });
    expect(output).toContain('model.onnx');
    expect(output).not.toMatch(/^\s+at /m);
  });

  it('names the file that is missing', async () => {
    await rm(join(copy, 'tokenizer.json'));
    expect(await refusal('worker', { MODEL: copy })).toContain('tokenizer.json');
  });

  it('names every setting that is wrong, and shows no secret', async () => {
    const output = await refusal('api', { PORT: 'eighty', MAX_QUEUE_SIZE: '-1', API_KEYS: 'short hunter2' });
    expect(output).toContain('PORT');
    expect(output).toContain('MAX_QUEUE_SIZE');
    expect(output).not.toContain('hunter2');
  });

  it('asks whether a misspelled setting was meant', async () => {
    expect(await refusal('worker', { MODEL: MODEL_DIRECTORY, MAX_BATCHSIZE: '4' })).toContain('MAX_BATCH_SIZE');
  });
});

describe('Redis goes away and comes back', () => {
  let redis: RunningRedis;
  let cluster: Cluster;

  beforeAll(async () => {
    // One that may be killed, whatever the other tests share.
    delete process.env['REDIS_URL'];
    redis = await launchRedis();
    cluster = await Cluster.start({ redisUrl: redis.url });
  });
  afterAll(async () => {
    await cluster?.stop();
    await redis?.stop();
  });

  it('answers 503 while it is away, and serves again by itself', async () => {
    const row = lonePrompt();
    const before = await ask(cluster.url, row);

    await redis.kill();
    await expect.poll(async () => (await fetch(`${cluster.url}/health/ready`)).status, { timeout: 10_000 }).toBe(503);
    const refused = await post(`${cluster.url}/v1/completions`, { model: 'minnow', prompt: '1 + 1 =' });
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ error: { code: 'unavailable' } });
    expect((await fetch(`${cluster.url}/health/live`)).status).toBe(200);

    await redis.restart();
    await expect.poll(async () => (await fetch(`${cluster.url}/health/ready`)).status, { timeout: 20_000 }).toBe(200);
    expect((await ask(cluster.url, row)).text).toBe(before.text);
  });
});
