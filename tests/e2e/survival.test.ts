import { afterEach, describe, expect, inject, it } from 'vitest';
import { Cluster, type ClusterMember } from '../cluster/cluster.ts';
import { type HeldOutPrompt, heldOutPrompts } from '../minnow/held-out.ts';
import { events, insist, requestFor, textOf } from './http.ts';

const stories = heldOutPrompts()
  .filter(({ family }) => family === 'story')
  .slice(0, 16);

/** Half of the streams are greedy, half are sampled with a seed. */
function storyRequest(row: HeldOutPrompt, index: number): { path: string; body: object } {
  return requestFor(row, { stream: true, ...(index % 2 === 0 ? {} : { temperature: 1, seed: 1000 + index }) });
}

/** Reads one stream to its end; `onText` hears of every piece. */
async function read(url: string, row: HeldOutPrompt, index: number, onText: () => void = () => {}): Promise<string> {
  const { path, body } = storyRequest(row, index);
  let text = '';
  for await (const data of events(await insist(url + path, body))) {
    if (data === '[DONE]') return text;
    const piece = textOf(data);
    text += piece;
    if (piece !== '') onText();
  }
  throw new Error(`stream ${index} ended without [DONE] after ${text.length} characters`);
}

/** Value of a worker's series; NaN when it has none. */
async function counter(worker: ClusterMember, series: string): Promise<number> {
  const text = await (await fetch(`${worker.url}/metrics`)).text();
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${series} `));
  return Number(line?.slice(series.length));
}

/** Otherwise their worker went between two answers, or finished them first, and nothing was shown. */
async function expectResumed(heir: ClusterMember): Promise<void> {
  expect(await counter(heir, 'shoal_redeliveries_total{model="minnow"}')).toBeGreaterThan(0);
  expect(await counter(heir, 'shoal_resumes_total{label="identical",model="minnow"}')).toBeGreaterThan(0);
  expect(await counter(heir, 'shoal_resumes_total{label="continued",model="minnow"}')).toBe(0);
}

describe('streams survive their worker', () => {
  let cluster: Cluster | undefined;
  afterEach(() => cluster?.stop());

  // Small batches and a short lock: many jobs are in the middle of their answer when the worker goes, and are found soon.
  const env = { MAX_BATCH_SIZE: '4', MAX_QUEUE_DELAY_MS: '5', LOCK_DURATION_MS: '1000', STALLED_INTERVAL_MS: '500' };

  it('continue byte for byte on another worker after kill -9', { timeout: 180_000 }, async () => {
    cluster = await Cluster.start({ redisUrl: inject('redisUrl'), env });
    const { url } = cluster;
    const undisturbed = await Promise.all(stories.map((row, index) => read(url, row, index)));

    const [victim] = cluster.workers;
    let killed = false;
    const kill = (): void => {
      if (!killed) victim?.process.signal('SIGKILL');
      killed = true;
    };
    const disturbed = Promise.all(stories.map((row, index) => read(url, row, index, kill)));
    await victim?.process.exitCode(30_000);
    const heir = await cluster.addWorker();

    expect(await disturbed).toEqual(undisturbed);
    await expectResumed(heir);
  });

  it('continue at once on another worker when theirs is told to stop and has no time', {
    timeout: 180_000,
  }, async () => {
    cluster = await Cluster.start({ redisUrl: inject('redisUrl'), env: { ...env, DRAIN_TIMEOUT_MS: '0' } });
    const { url } = cluster;
    const undisturbed = await Promise.all(stories.map((row, index) => read(url, row, index)));

    const [victim] = cluster.workers;
    let told = false;
    const stop = (): void => {
      if (!told) victim?.process.signal('SIGTERM');
      told = true;
    };
    const disturbed = Promise.all(stories.map((row, index) => read(url, row, index, stop)));
    expect(await victim?.process.exitCode(30_000)).toBe(0);
    const heir = await cluster.addWorker();
    expect(await disturbed).toEqual(undisturbed);
    expect(victim?.process.output).toContain('"outcome":"handed-back"');
    await expectResumed(heir);
  });
});
