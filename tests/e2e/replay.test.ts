import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { httpClient, type ShoalRequest } from '@shoal/client';
import { modelKeys } from '@shoal/queue';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { Cluster } from '../cluster/cluster.ts';

const shoal = fileURLToPath(new URL('../../apps/cli/bin/shoal.mjs', import.meta.url));

interface Verdict {
  code: number;
  out: string;
}

describe('shoal replay', () => {
  let cluster: Cluster;
  beforeAll(async () => {
    // With reuse, a replay that did not ask for its own generation would compare an answer with itself.
    cluster = await Cluster.start({ redisUrl: inject('redisUrl'), env: { REUSE_ANSWERS: 'true' } });
  });
  afterAll(() => cluster?.stop());

  /** Runs the command as a user does, over the API and over Redis. */
  async function replay(id: string, road: string): Promise<Verdict> {
    const roads: Record<string, string[]> = {
      HTTP: ['--url', cluster.url],
      Redis: ['--redis', inject('redisUrl'), '--prefix', cluster.prefix, '--model', 'minnow'],
    };
    const args = [shoal, 'replay', id, '--json', ...(roads[road] ?? [])];
    return await promisify(execFile)(process.execPath, args, { timeout: 25_000 }).then(
      ({ stdout }) => ({ code: 0, out: stdout }),
      (error: { code: number; stdout: string; stderr: string }) => ({
        code: error.code,
        out: error.stdout + error.stderr,
      }),
    );
  }

  async function finished(request: ShoalRequest): Promise<string> {
    const client = httpClient({ url: cluster.url, model: 'minnow' });
    try {
      const { id } = await client.submit(request);
      await client.result(id);
      return id;
    } finally {
      await client.close();
    }
  }

  const requests: [string, ShoalRequest][] = [
    ['greedy', { prompt: '47 + 38 =', temperature: 0, maxTokens: 12 }],
    ['seeded', { prompt: 'Once upon a time', temperature: 0.9, seed: 12, maxTokens: 24 }],
    ['with a seed that it was given', { prompt: 'Once upon a time', temperature: 1, maxTokens: 24 }],
    [
      'of two answers',
      { messages: [{ role: 'user', content: 'What is 4 + 5?' }], n: 2, temperature: 0.8, maxTokens: 16 },
    ],
  ];

  it.each(requests.flatMap(([name, request]) => ['HTTP', 'Redis'].map((road) => ({ name, request, road }))))(
    'finds a request $name identical over $road',
    async ({ request, road }) => {
      const { code, out } = await replay(await finished(request), road);
      const verdict = JSON.parse(out);
      expect(verdict).toMatchObject({ verdict: 'identical', replayed: { numerics: verdict.recorded.numerics } });
      expect(verdict.recorded.numerics).toMatch(/\S/);
      expect(code).toBe(0);
    },
  );

  it('generates anew what others share, and an answer that is kept', async () => {
    const asked = { model: 'minnow', prompt: '12 + 30 =', temperature: 0, max_tokens: 8 };
    const ask = async () => {
      const headers = { 'content-type': 'application/json' };
      const response = await fetch(`${cluster.url}/v1/completions`, {
        method: 'POST',
        headers,
        body: JSON.stringify(asked),
      });
      const { shoal: ride } = (await response.json()) as { shoal: { job_id: string; timings: { started_at: number } } };
      return ride;
    };
    const first = await ask();
    const cached = await ask();
    expect(cached.timings.started_at).toBe(first.timings.started_at);
    const verdict = JSON.parse((await replay(cached.job_id, 'HTTP')).out);
    expect(verdict).toMatchObject({ verdict: 'identical', recorded: { startedAt: first.timings.started_at } });
    expect(verdict.replayed.startedAt).toBeGreaterThan(first.timings.started_at);
  });

  it('names the first token that differs from a record that is not the truth', async () => {
    const id = await finished({ prompt: '47 + 38 =', temperature: 0, maxTokens: 12 });
    const redis = new Redis(inject('redisUrl'));
    try {
      const job = `${modelKeys(cluster.prefix, 'minnow').bull}${id}`;
      const result = JSON.parse((await redis.hget(job, 'returnvalue')) ?? '');
      const truth = result.tokenIds[1];
      result.tokenIds[1] = truth + 1;
      await redis.hset(job, 'returnvalue', JSON.stringify(result));
      const { code, out } = await replay(id, 'HTTP');
      const difference = { choice: 0, what: 'tokens', position: 1, recorded: truth + 1, replayed: truth };
      expect(JSON.parse(out)).toMatchObject({
        verdict: 'different',
        difference,
        because: expect.stringContaining('should be the same'),
      });
      expect(code).toBe(1);
    } finally {
      redis.disconnect();
    }
  });

  it('says when there is no such job', async () => {
    const { code, out } = await replay('no-such-job', 'HTTP');
    expect(out).toContain('job_not_found');
    expect(code).toBe(2);
  });
});
