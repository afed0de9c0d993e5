import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { GenerateRequest } from '@shoal/protocol';
import { openBullQueue, openProducer, openRegistry } from '@shoal/queue';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { waitUntil } from '../../scripts/system/bounded.mjs';
import { Cluster } from '../cluster/cluster.ts';
import { insist } from '../e2e/http.ts';

const shoal = fileURLToPath(new URL('../../apps/cli/bin/shoal.mjs', import.meta.url));
const FOLLOWS_MS = 15_000;
const redisUrl = inject('redisUrl');

/** Value of a series of a process; undefined when it has none. */
async function value(url: string, series: string): Promise<number | undefined> {
  const text = await (await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(5_000) })).text();
  const line = text.split('\n').find((each) => each.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length));
}

async function becomes(url: string, series: string, accept: (value: number) => boolean): Promise<void> {
  let last: number | undefined;
  const accepted = async () => {
    last = await value(url, series);
    return last !== undefined && accept(last);
  };
  expect(await waitUntil(accepted, { limitMs: FOLLOWS_MS, everyMs: 50 }), `${series} is ${last}`).toBe(true);
}

describe('a cluster that is operated while it runs', () => {
  let cluster: Cluster;
  let closers: (() => unknown)[] = [];

  beforeAll(async () => {
    cluster = await Cluster.start({ redisUrl, env: { MAX_BATCH_SIZE: '4' } });
  }, 120_000);
  afterAll(async () => {
    for (const close of closers) await close();
    closers = [];
    await cluster?.stop();
  });

  async function command(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const where = ['--redis', redisUrl, '--prefix', cluster.prefix];
    const done = await promisify(execFile)(process.execPath, [shoal, ...args, ...where], { timeout: 30_000 }).then(
      (output) => ({ code: 0, ...output }),
      (error: { code: number; stdout: string; stderr: string }) => error,
    );
    return { code: done.code, stdout: done.stdout, stderr: done.stderr };
  }

  const body = { model: 'minnow', prompt: 'Tell me a story about a fox.', max_tokens: 40, ignore_eos: true };
  const submit = (count: number) =>
    Promise.all(
      Array.from({ length: count }, () => insist(`${cluster.url}/v1/jobs`, { ...body, endpoint: '/v1/completions' })),
    );

  it('scales by a figure that goes 0 → n → 0 over a burst', { timeout: 60_000 }, async () => {
    const load = 'shoal_queue_load{model="minnow"}';
    await becomes(cluster.url, load, (jobs) => jobs === 0);
    const accepted = await submit(60);
    expect(new Set(accepted.map(({ status }) => status))).toEqual(new Set([202]));
    await becomes(cluster.url, load, (jobs) => jobs > 0);
    await becomes(cluster.url, load, (jobs) => jobs === 0);
  });

  it('and stays 0 while the queue is paused', { timeout: 60_000 }, async () => {
    const queue = openBullQueue({ redisUrl, prefix: cluster.prefix, model: 'minnow' });
    closers.push(() => queue.close());
    await queue.pause();
    await submit(3);
    await becomes(cluster.url, 'shoal_queue_depth{model="minnow",state="waiting",priority="5"}', (jobs) => jobs === 3);
    expect(await value(cluster.url, 'shoal_queue_load{model="minnow"}')).toBe(0);
    expect(await value(cluster.url, 'shoal_queue_paused{model="minnow"}')).toBe(1);
    await queue.resume();
    await becomes(cluster.url, 'shoal_queue_depth{model="minnow",state="waiting",priority="5"}', (jobs) => jobs === 0);
  });

  it('tells of the fleet without a look at any worker', { timeout: 60_000 }, async () => {
    await becomes(cluster.url, 'shoal_fleet_workers{model="minnow",state="ready"}', (workers) => workers === 1);
    expect(await value(cluster.url, 'shoal_fleet_slots{model="minnow"}')).toBe(4);
  });

  it('follows a setting that is changed, and one that is taken back', { timeout: 60_000 }, async () => {
    const url = cluster.workers[0]?.url ?? '';
    const inForce = 'shoal_worker_setting{setting="MAX_BATCH_SIZE",model="minnow"}';
    await becomes(url, inForce, (size) => size === 4);
    expect((await command('set', 'minnow', 'MAX_BATCH_SIZE=1', 'LOG_LEVEL=debug')).code).toBe(0);
    await becomes(url, inForce, (size) => size === 1);
    expect(await value(url, 'shoal_worker_setting{setting="LOG_LEVEL",model="minnow"}')).toBe(20);
    const answers = await Promise.all(
      Array.from({ length: 6 }, async () => (await insist(`${cluster.url}/v1/completions`, body)).json()),
    );
    const sizes = answers.map((answer) => (answer as { shoal: { batch: { size: number } } }).shoal.batch.size);
    expect(Math.max(...sizes)).toBe(1);
    await becomes(
      cluster.url,
      'shoal_fleet_setting{model="minnow",setting="MAX_BATCH_SIZE",value="1"}',
      (n) => n === 1,
    );
    const shown = (await command('settings', 'minnow')).stdout;
    expect(shown).toMatch(/MAX_BATCH_SIZE +1 +1 \(1\)/);
    expect((await command('set', 'minnow', 'MAX_BATCH_SIZE=', 'LOG_LEVEL=')).code).toBe(0);
    await becomes(url, inForce, (size) => size === 4);
  });

  it('bounds the queue anew at once, for every producer', { timeout: 60_000 }, async () => {
    const producer = openProducer({ redisUrl, prefix: cluster.prefix, model: 'minnow' });
    const queue = openBullQueue({ redisUrl, prefix: cluster.prefix, model: 'minnow' });
    closers.push(
      () => producer.close(),
      () => queue.close(),
    );
    await queue.pause();
    await command('set', 'minnow', 'MAX_QUEUE_SIZE=2');
    const statuses = [];
    for (let i = 0; i < 3; i++) statuses.push((await submit(1))[0]?.status);
    expect(statuses).toEqual([202, 202, 429]);
    const request: GenerateRequest = { v: 1, prompt: 'x', params: { temperature: 0, topP: 1, topK: 0, stop: [] } };
    await expect(producer.submit(request, { id: 'one-more', priority: 5 })).rejects.toMatchObject({
      code: 'queue_full',
    });
    await command('set', 'minnow', 'MAX_QUEUE_SIZE=');
    await queue.resume();
  });

  it('refuses a malformed change with one line, and changes nothing', { timeout: 60_000 }, async () => {
    const registry = openRegistry({ redisUrl, prefix: cluster.prefix });
    closers.push(() => registry.close());
    const before = await registry.settings('minnow');
    const refusals = await Promise.all([
      command('set', 'minnow', 'MAX_BATCH_TOKENS=256', 'MAX_BATCH_SIZE=many'),
      command('set', 'minnow', 'MAX_BATCH_SIZE=512'),
      command('set', 'minnow', 'API_KEYS=x'),
      command('set', 'nobody', 'MAX_BATCH_SIZE=2'),
    ]);
    expect(refusals.map(({ code }) => code)).toEqual([2, 2, 2, 2]);
    for (const { stderr } of refusals) expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(refusals[1]?.stderr).toContain('started with 4 slots');
    expect(await registry.settings('minnow')).toEqual(before);
  });

  // The last: one worker more is not what the others count.
  it('makes a worker talkative by a signal', { timeout: 60_000 }, async () => {
    const quiet = await cluster.addWorker({ LOG_LEVEL: 'warn' });
    const told = () => quiet.process.output.split('\n').filter((line) => line.includes('"msg":"request"')).length;
    const answers = async () => {
      const asked = Array.from({ length: 16 }, () => insist(`${cluster.url}/v1/completions`, body));
      for (const { status } of await Promise.all(asked)) expect(status).toBe(200);
    };
    await answers();
    expect(told()).toBe(0);
    quiet.process.signal('SIGUSR2');
    const talkative = () => quiet.process.output.includes('"logLevel":"debug"');
    expect(await waitUntil(talkative, { limitMs: FOLLOWS_MS, everyMs: 50 }), quiet.process.output).toBe(true);
    await answers();
    expect(await waitUntil(() => told() > 0, { limitMs: FOLLOWS_MS, everyMs: 50 }), quiet.process.output).toBe(true);
  });
});
