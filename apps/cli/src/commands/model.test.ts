import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { COMMIT, HubServer, repoOf } from '../../../../packages/engine/src/testing/hub-server.ts';
import { MINNOW } from '../../../../packages/engine/src/testing/minnow.ts';
import { shoal } from '../program.ts';

let server: HubServer;
let folder: string;

beforeAll(async () => {
  server = await HubServer.start();
  server.repos.set('org/minnow', await repoOf(MINNOW));
  folder = await mkdtemp(join(tmpdir(), 'shoal-cli-model-'));
});
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

async function run(args: string[], { tty = false, env = {}, signal = new AbortController().signal } = {}) {
  let out = '';
  let err = '';
  const code = await shoal(['model', ...args], {
    stdin: Readable.from([]),
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text), isTTY: tty },
    env: { HF_ENDPOINT: server.url, HF_HOME: folder, ...env },
    signal,
    clock: () => 0,
  });
  return { code, out, err };
}

const snapshot = () => join(folder, 'hub', 'models--org--minnow', 'snapshots', COMMIT);

describe('shoal model pull', () => {
  it('downloads with a bar, and prints where the model lies', async () => {
    const { code, out, err } = await run(['pull', 'org/minnow'], { tty: true });
    expect({ code, out }).toEqual({ code: 0, out: `${snapshot()}\n` });
    expect(err).toMatch(/\[-+\] 0\/5 files {2}0\.0\/3\.8 MB/);
    expect(err).toMatch(/\[#{24}\] 5\/5 files {2}3\.8\/3\.8 MB[^\n]*\n$/);
  });

  it('prints one object with --json, and nothing else where nobody looks', async () => {
    const { code, out, err } = await run(['pull', 'org/minnow', '--revision', 'main', '--json']);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const facts = { model: 'org/minnow', revision: 'main', dtype: 'fp32', commit: COMMIT, directory: snapshot() };
    expect(JSON.parse(out)).toEqual(facts);
  });

  it.each([
    [['pull', 'org/nothing'], 1, /no such model, or it is private/],
    [['pull', 'org/minnow', '--dtype', 'q4'], 1, /choose a dtype of: onnx\/model.onnx/],
    [['pull', 'org/minnow@v9'], 1, /no revision v9/],
    [['pull', 'just-a-name'], 2, /no hub id/],
    [['pull', 'org/minnow@main', '--revision', 'v1'], 2, /revision once/],
    [['pull', 'org/minnow', '--dtype', 'q3'], 2, /fp32, fp16/],
    [['pull'], 2, /id/],
  ])('%j exits with %i', async (args, exit, message) => {
    const { code, out, err } = await run(args);
    expect({ code, out }).toEqual({ code: exit, out: '' });
    expect(err).toMatch(message);
  });

  it('names a malformed setting', async () => {
    const { code, err } = await run(['pull', 'org/minnow'], { env: { HF_ENDPOINT: 'hub' } });
    expect(code).toBe(2);
    expect(err).toContain('HF_ENDPOINT');
  });

  it('says that it was interrupted', async () => {
    const { code, err } = await run(['pull', 'org/minnow'], { signal: AbortSignal.abort() });
    expect(code).toBe(1);
    expect(err).toContain('interrupted');
  });
});

describe('shoal model inspect', () => {
  it('says what a directory holds and how it would run', async () => {
    const { code, out } = await run(['inspect', MINNOW, '--kv-cache-mb', '2', '--max-batch-size', '4']);
    expect(code).toBe(0);
    expect(out).toMatch(/^shape +5 layers, 4 heads, 2 KV heads, head size 32, vocabulary of 261$/m);
    expect(out).toMatch(/^KV cache +updated in place/m);
    expect(out).toMatch(/^sequences +4 together, of up to 512 tokens each$/m);
    // 2 MiB ÷ (2 × 5 layers × 2 heads × 32 numbers × 4 bytes)
    expect(out).toMatch(/^KV budget +819 tokens, 2\.1 MB$/m);
    expect(out).toMatch(/^verdict +can be loaded$/m);
  });

  it('takes hub ids, and gives one object with --json', async () => {
    const { code, out } = await run(['inspect', 'org/minnow', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      directory: snapshot(),
      architecture: 'llama',
      cacheUpdate: 'in-place',
      kvBytesPerToken: 2560,
      chat: true,
      refusals: [],
    });
  });

  it('says that it was interrupted', async () => {
    const { code, out, err } = await run(['inspect', 'org/minnow'], { signal: AbortSignal.abort() });
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toBe('shoal: interrupted; the next download goes on from here\n');
  });

  it('names everything that a worker would refuse, and exits with 1', async () => {
    const broken = join(folder, 'broken');
    await cp(MINNOW, broken, { recursive: true });
    await rm(join(broken, 'tokenizer.json'));
    const { code, out } = await run(['inspect', broken, '--max-model-len', '9999', '--json']);
    expect(code).toBe(1);
    const report = JSON.parse(out);
    expect(report).toMatchObject({ layers: 5, cacheUpdate: 'in-place' });
    expect(report.refusals).toEqual([
      expect.stringContaining('tokenizer.json: the file is missing'),
      expect.stringContaining('maxModelLen is 9999'),
    ]);
    expect((await run(['inspect', broken])).out).toMatch(
      /^verdict +would be refused:\n +\S+tokenizer.json: the file is/m,
    );
  });
});

it.each([['pull'], ['inspect']])('shoal model %s --help explains itself', async (command) => {
  const { code, out } = await run([command, '--help']);
  expect(code).toBe(0);
  expect(out).toContain('--json');
  expect(out).toContain('HF_TOKEN');
});
