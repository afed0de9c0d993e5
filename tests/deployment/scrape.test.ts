import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBullQueue } from '@shoal/queue';
import { createApiMetrics, createWorkerMetrics } from '@shoal/telemetry';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { z } from 'zod';
import { findPrometheus, findPromtool } from '../../scripts/deployment-tools.mjs';
import { waitUntil } from '../../scripts/system/bounded.mjs';
import { freePort } from '../../scripts/system/ports.mjs';
import { Cluster } from '../cluster/cluster.ts';
import { insist, post } from '../e2e/http.ts';
import { Accidents } from './accidents.ts';

const FETCH_LIMIT_MS = 300_000;
const LOAD_MS = 60_000;
const LOAD_LIMIT_MS = 240_000;
const ROUNDS = 8;
/** More than both workers hold, running and prefetched: a wait is predicted only where some wait. */
const AT_ONCE = 96;
/** Long enough that computing it once for several is worth it. */
const COMMON = `Tell me ${'a long and winding story, '.repeat(6)} about`;

const targets = z.object({
  data: z.object({ activeTargets: z.array(z.object({ health: z.string(), lastError: z.string() })) }),
});
const result = z.object({
  data: z.object({ result: z.array(z.object({ value: z.tuple([z.number(), z.string()]) })) }),
});

describe('a real Prometheus over the real processes', () => {
  let accidents: Accidents | undefined;
  let cluster: Cluster | undefined;
  let prometheus: { url: string; stop: () => Promise<void> } | undefined;

  beforeAll(async () => {
    const program = await findPrometheus();
    if (!program) return console.warn('no Prometheus can be had here: scraping is left out');
    accidents = await Accidents.prepare(inject('redisUrl'));
    // Short locks: a worker that dies is missed soon.
    const env = { REUSE_ANSWERS: 'true', LOCK_DURATION_MS: '2000', STALLED_INTERVAL_MS: '500' };
    cluster = await Cluster.start({ redisUrl: accidents.redisUrl, env, workers: 0 });
    // A worker of either kind of batching: some series are of the one, some of the other.
    await cluster.addWorker(accidents.cramped);
    await cluster.addWorker({ BATCHING: 'static', ...accidents.fragile });
    const members = [...cluster.apis, ...cluster.workers].map(({ url }) => new URL(url).host);
    prometheus = await startPrometheus(program, members);
  }, FETCH_LIMIT_MS);

  afterAll(async () => {
    await prometheus?.stop();
    await cluster?.stop();
    await accidents?.close();
  });

  it('reaches every process and understands what it says', async ({ skip }) => {
    if (!prometheus) return skip();
    const { url } = prometheus;
    const answered = async () => {
      const { activeTargets } = targets.parse(await get(`${url}/api/v1/targets`)).data;
      return activeTargets.length === 3 && activeTargets.every(({ health }) => health === 'up');
    };
    expect(await waitUntil(answered, { limitMs: 20_000, everyMs: 200 })).toBe(true);
  });

  it(
    'finds every series of the catalogue, and sees it move, within a minute of load',
    async ({ skip }) => {
      if (!prometheus || !cluster || !accidents) return skip();
      const { url } = prometheus;
      const running = cluster;
      const unmoved = async () => {
        const values = await Promise.all(catalogue().map(async (name) => ({ name, value: await largest(url, name) })));
        return values.filter(({ value }) => !value).map(({ name }) => name);
      };
      await accidents.runOutOfMemory();
      await accidents.killWorker(running, () => someAnswers(running));
      const [anyone] = running.workers;
      if (anyone !== undefined) await accidents.refuseScripts(anyone);
      const until = Date.now() + LOAD_MS;
      while (Date.now() < until) await someLoad(cluster);
      // Gauges are seen only while something runs, so the load goes on until they were.
      for (let round = 0; round < ROUNDS && (await unmoved()).length > 0; round++) await someLoad(cluster);
      expect(await unmoved()).toEqual([]);
    },
    LOAD_LIMIT_MS,
  );

  it('has nothing to find fault with in the exposition', async ({ skip }) => {
    const promtool = await findPromtool();
    if (!promtool || !cluster) return skip();
    for (const { url } of [...cluster.apis, ...cluster.workers]) {
      const text = await (await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(5_000) })).text();
      const { code, output } = await lint(promtool, text);
      expect(code, output).toBe(0);
      expect(output.split('\n').filter((line) => line.startsWith('shoal_'))).toEqual([]);
    }
  });
});

/** Names of what has to move; of a histogram, its count. */
function catalogue(): string[] {
  const registries = [createApiMetrics(async () => []).registry, createWorkerMetrics({ model: 'm' }).registry];
  const metrics = registries.flatMap((registry) => registry.getMetricsAsArray());
  return metrics
    .filter(({ name }) => name.startsWith('shoal_'))
    .map(({ name, type }) => (type.toString() === 'histogram' ? `${name}_count` : name));
}

/** Streaming and not, good and bad, some the same, in batches of several; then a pause of the queue. */
async function someLoad(cluster: Cluster): Promise<void> {
  await someAnswers(cluster);
  const { url, prefix } = cluster;
  expect((await post(`${url}/v1/completions`, { model: 'minnow', prompt: 7 })).status).toBe(400);
  const queue = openBullQueue({ redisUrl: inject('redisUrl'), prefix, model: 'minnow' });
  await queue.pause();
  // As long as a scrape takes to see it.
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  await queue.resume();
  await queue.close();
}

async function someAnswers({ url }: Cluster): Promise<void> {
  const bodies = Array.from({ length: AT_ONCE }, (_, i) => ({
    model: 'minnow',
    messages: [{ role: 'user', content: `${COMMON} ${i % 8 === 0 ? 0 : i} fish.` }],
    max_tokens: 60,
    // Greedy ones that are equal share a generation; more of a row than is listed must be read in full.
    ...(i % 8 === 0 ? { temperature: 0 } : {}),
    ...(i % 8 === 1 ? { temperature: 2, top_k: 100 } : {}),
    stream: i % 3 === 0,
  }));
  const answers = await Promise.all(bodies.map((body) => insist(`${url}/v1/chat/completions`, body)));
  for (const answer of answers) {
    expect(answer.status).toBe(200);
    await answer.text();
  }
}

async function startPrometheus([program = '', ...first]: string[], members: string[]) {
  const folder = await mkdtemp(join(tmpdir(), 'shoal-prometheus-'));
  const config = {
    global: { scrape_interval: '1s' },
    scrape_configs: [{ job_name: 'shoal', static_configs: [{ targets: members }] }],
  };
  await writeFile(join(folder, 'prometheus.yml'), JSON.stringify(config));
  const url = `http://127.0.0.1:${await freePort()}`;
  const args = [
    `--config.file=${folder}/prometheus.yml`,
    `--storage.tsdb.path=${folder}/data`,
    `--web.listen-address=${url.slice(7)}`,
  ];
  const child = spawn(program, [...first, ...args], { stdio: 'ignore' });
  const gone = new Promise((resolve) => child.once('close', resolve));
  const ready = () =>
    fetch(`${url}/-/ready`, { signal: AbortSignal.timeout(1_000) }).then(
      ({ ok }) => ok,
      () => false,
    );
  const stop = async () => {
    child.kill('SIGKILL');
    await gone;
    await rm(folder, { recursive: true });
  };
  if (await waitUntil(ready, { limitMs: 30_000, everyMs: 100 })) return { url, stop };
  await stop();
  throw new Error('Prometheus was not ready in 30 s');
}

async function get(url: string): Promise<unknown> {
  return (await fetch(url, { signal: AbortSignal.timeout(5_000) })).json();
}

/** The largest value that a series has had over all labels; undefined when there is no such series. */
async function largest(url: string, name: string): Promise<number | undefined> {
  const query = encodeURIComponent(`max(max_over_time(${name}[5m]))`);
  const [sample] = result.parse(await get(`${url}/api/v1/query?query=${query}`)).data.result;
  return sample && Number(sample.value[1]);
}

/** `promtool check metrics`, which reads the exposition on its standard input. */
function lint([program = '', ...first]: string[], text: string): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...first, 'check', 'metrics'], { stdio: ['pipe', 'pipe', 'pipe'], timeout: 60_000 });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output }));
    child.stdin.end(text);
  });
}
