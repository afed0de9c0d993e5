import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { httpClient } from '@shoal/client';
import { redisClient } from '@shoal/client/redis';
import { clientContract } from '@shoal/client/testing';
import { openTcpProxy, type TcpProxy } from '@shoal/queue/testing';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { Cluster } from '../cluster/cluster.ts';

const story = { prompt: 'Once upon a time', temperature: 0, ignoreEos: true, maxTokens: 480 };
const subject = {
  model: 'minnow',
  easy: { prompt: '47 + 38 =', answer: ' 85' },
  // Two at a time: thousands of steps.
  long: { ...story, n: 16 },
};

describe('the client, against real processes', () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.start({ redisUrl: inject('redisUrl'), env: { MAX_BATCH_SIZE: '2' } });
  });
  afterAll(() => cluster?.stop());

  clientContract('HTTP', { ...subject, open: () => httpClient({ url: cluster.url, model: 'minnow' }) });
  clientContract('Redis', {
    ...subject,
    open: () => redisClient({ redisUrl: inject('redisUrl'), prefix: cluster.prefix, model: 'minnow' }),
  });

  it.each(['HTTP', 'Redis'])('%s: resumes an answer whose connection is cut twice', async (road) => {
    const options = { model: 'minnow', maxRetries: 10 };
    const asked = { ...story, n: 4 };
    const undisturbed = httpClient({ url: cluster.url, ...options });
    const proxy = await openTcpProxy(road === 'HTTP' ? cluster.url : inject('redisUrl'));
    const client = behind(proxy, road, options);
    try {
      const stream = client.stream(asked);
      let text = '';
      let cuts = 0;
      for await (const delta of stream) {
        if (delta.choice === 0) text += delta.text;
        if (cuts === 2) continue;
        cuts += 1;
        await proxy.down();
        await proxy.up();
      }
      const result = await stream.result();
      expect(cuts).toBe(2);
      expect(text).toBe(result.text);
      expect(result.text).toBe((await undisturbed.generate(asked)).text);
    } finally {
      await Promise.all([client.close(), undisturbed.close()]);
      await proxy.close();
    }
  });

  function behind(proxy: TcpProxy, road: string, options: { model: string; maxRetries: number }) {
    const { host } = new URL(proxy.url);
    return road === 'HTTP'
      ? httpClient({ url: `http://${host}`, ...options })
      : redisClient({ redisUrl: `redis://${host}`, prefix: cluster.prefix, ...options });
  }

  it('answers the same on both roads', async () => {
    const http = httpClient({ url: cluster.url, model: 'minnow' });
    const redis = redisClient({ redisUrl: inject('redisUrl'), prefix: cluster.prefix, model: 'minnow' });
    try {
      const request = { prompt: 'Write the word seven times:', seed: 11, maxTokens: 40, temperature: 0.9 };
      const [one, other] = await Promise.all([http.generate(request), redis.generate(request)]);
      expect(one.tokenIds).toEqual(other.tokenIds);
      const { id } = await redis.submit(request);
      expect((await http.result(id)).tokenIds).toEqual(one.tokenIds);
    } finally {
      await Promise.all([http.close(), redis.close()]);
    }
  });
});

describe('the package', () => {
  it.each(['@shoal/client', '@shoal/client/redis'])('%s can be required from CommonJS', async (name) => {
    const code = `const client = require('${name}'); console.log(Object.keys(client).join())`;
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=commonjs', '-e', code], {
      cwd: fileURLToPath(new URL('..', import.meta.url)),
      timeout: 20_000,
    });
    expect(stdout).toMatch(/httpClient|redisClient/);
  });

  it('brings no onnxruntime-node', () => {
    const reached = dependenciesOf('packages/client');
    expect(reached).toContain('bullmq');
    expect(reached).not.toContain('onnxruntime-node');
    expect(dependenciesOf('packages/engine'), 'the search would find it').toContain('onnxruntime-node');
  });
});

const dependencies = z.record(z.string(), z.string()).optional();
const lockfile = z.object({
  importers: z.record(
    z.string(),
    z.object({ dependencies: z.record(z.string(), z.object({ version: z.string() })).optional() }),
  ),
  snapshots: z.record(z.string(), z.object({ dependencies, optionalDependencies: dependencies })),
});

/** Names of everything that is installed with a workspace package, by the lock file. */
function dependenciesOf(folder: string): string[] {
  const text = readFileSync(new URL('../../pnpm-lock.yaml', import.meta.url), 'utf8');
  const lock = lockfile.parse(parse(text, { maxAliasCount: 0 }));
  const names = new Set<string>();
  const visited = new Set<string>();
  const visitWorkspace = (path: string): void => {
    if (visited.has(path)) return;
    visited.add(path);
    for (const [name, { version }] of Object.entries(lock.importers[path]?.dependencies ?? {})) {
      names.add(name);
      if (version.startsWith('link:')) visitWorkspace(new URL(version.slice(5), `file:///${path}/`).pathname.slice(1));
      else visitPackage(`${name}@${version}`);
    }
  };
  const visitPackage = (key: string): void => {
    if (visited.has(key)) return;
    visited.add(key);
    const { dependencies, optionalDependencies } = lock.snapshots[key] ?? {};
    for (const [name, version] of Object.entries({ ...dependencies, ...optionalDependencies })) {
      names.add(name);
      visitPackage(`${name}@${version}`);
    }
  };
  visitWorkspace(folder);
  return [...names];
}
