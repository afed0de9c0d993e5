import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { runCommand } from '../../scripts/system/bounded.mjs';
import { Cluster } from '../cluster/cluster.ts';

const folder = fileURLToPath(new URL('../../examples/', import.meta.url));
const LIMIT_MS = 60_000;

/** Examples, with what each must show. */
const EXPECTED: Readonly<Record<string, RegExp>> = {
  'node-http.mjs': /^whole: 85\nstreamed: 99 \(\d+ tokens\)\n(?:\d \+ 1 = \d\n){5}$/,
  'node-redis.mjs': /^job [\w-]+\nanswer: 85\n$/,
  'node-bullmq.mjs': /^answer: 85\n$/,
  'python-openai.py': /^whole: 85\nstreamed: 99\n$/,
  'python-bullmq.py': /^answer: 85\n$/,
};

describe('the examples', () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.start({ redisUrl: inject('redisUrl') });
  });
  afterAll(() => cluster?.stop());

  const run = (command: string, args: string[]) =>
    runCommand(command, args, {
      limitMs: LIMIT_MS,
      env: { ...process.env, SHOAL_URL: cluster.url, REDIS_URL: inject('redisUrl'), QUEUE_PREFIX: cluster.prefix },
    });

  it('are those that are tested here', () => {
    const files = readdirSync(folder).filter((name) => /\.(mjs|py)$/.test(name));
    expect(files.sort()).toEqual(Object.keys(EXPECTED).sort());
  });

  it.each(Object.keys(EXPECTED).filter((name) => name.endsWith('.mjs')))('%s', async (name) => {
    const { code, output } = await run(process.execPath, [folder + name]);
    expect(code, output).toBe(0);
    expect(output).toMatch(EXPECTED[name] ?? /^$/);
  });

  it.for([
    ['python-openai.py', 'openai'],
    ['python-bullmq.py', 'bullmq'],
  ] as const)('%s', async ([name, needed], { skip }) => {
    const python = await run('python3', ['-c', `import ${needed}`]).catch(() => ({ code: 1 }));
    skip(python.code !== 0, `left out: needs python3 with the package ${needed}`);
    const { code, output } = await run('python3', [folder + name]);
    expect(code, output).toBe(0);
    expect(output).toMatch(EXPECTED[name] ?? /^$/);
  });
});
