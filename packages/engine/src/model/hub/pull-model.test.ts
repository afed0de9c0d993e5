import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import {
  lstat,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Engine } from '../../engine.ts';
import type { ModelDtype } from '../../engine-options.ts';
import { COMMIT, HubServer, type Mishap, repoOf } from '../../testing/hub-server.ts';
import { MINNOW } from '../../testing/minnow.ts';
import { GREEDY, readAnswer } from '../../testing/scripted-engine.ts';
import { hostOfPids } from './file-lock.ts';
import { locateModel } from './locate-model.ts';
import type { PullEvent } from './pull-event.ts';
import type { PullDependencies } from './pull-model.ts';

const GRAPH = 'onnx/model.onnx';

let server: HubServer;
let cacheDirectory: string;
let events: PullEvent[];

beforeEach(async () => {
  server = await HubServer.start();
  server.repos.set('org/minnow', await repoOf(MINNOW));
  cacheDirectory = await mkdtemp(join(tmpdir(), 'shoal-hub-'));
  events = [];
});
afterEach(async () => {
  await server.stop();
  await rm(cacheDirectory, { recursive: true, force: true });
});

interface Given {
  token?: string;
  offline?: boolean;
  endpoint?: string;
  dtype?: ModelDtype;
  signal?: AbortSignal;
  dependencies?: PullDependencies;
}

const pull = (model = 'org/minnow', { token, offline, endpoint, dtype, signal, dependencies }: Given = {}) =>
  locateModel(
    model,
    {
      dtype,
      signal,
      hub: { endpoint: endpoint ?? server.url, token, offline, cacheDirectory },
      onEvent: (event) => events.push(event),
    },
    { pause: async () => {}, ...dependencies },
  );

const repo = () => {
  const minnow = server.repos.get('org/minnow');
  if (minnow === undefined) throw new Error('no repository');
  return minnow;
};
const graphBytes = () => repo().files.get(GRAPH) ?? Buffer.alloc(0);
const graphHash = () => createHash('sha256').update(graphBytes()).digest('hex');
/** Matchers compare large buffers byte by byte, which takes seconds. */
const hasGraph = async (directory: string) => (await readFile(join(directory, GRAPH))).equals(graphBytes());
const blobs = () => readdir(join(cacheDirectory, 'models--org--minnow', 'blobs'));
const eventsOf = <T extends PullEvent['type']>(type: T) =>
  events.filter((event): event is Extract<PullEvent, { type: T }> => event.type === type);

async function answerOf(directory: string): Promise<string> {
  const engine = await Engine.load({ modelDirectory: directory, intraOpThreads: 1 });
  const { text } = await readAnswer(
    engine.generate({
      id: 'one',
      messages: [{ role: 'user', content: 'Reverse the word: stone' }],
      params: { ...GREEDY, maxTokens: 20 },
    }),
  );
  await engine.close();
  return text;
}

describe('a model of the hub', () => {
  it('is downloaded, loaded and answers; then again without the network', async () => {
    const directory = await pull('org/minnow@main');
    expect(await answerOf(directory)).toContain('enots');
    expect(server.downloads.sort()).toEqual([
      'config.json',
      'generation_config.json',
      GRAPH,
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    await server.stop();
    const offline = await pull('org/minnow@main', { offline: true });
    expect(offline).toBe(directory);
    expect(await answerOf(offline)).toContain('enots');
  });

  it('lies in the cache as Hugging Face’s own tools lay it out', async () => {
    const directory = await pull();
    const root = join(cacheDirectory, 'models--org--minnow');
    expect(directory).toBe(join(root, 'snapshots', COMMIT));
    expect(await readFile(join(root, 'refs', 'main'), 'utf8')).toBe(COMMIT);
    expect(await readlink(join(directory, GRAPH))).toBe(join('..', '..', '..', 'blobs', graphHash()));
    expect(await hasGraph(directory)).toBe(true);
    expect(await readdir(join(root, '.no_exist', COMMIT))).toContain('chat_template.jinja');
    expect((await blobs()).filter((name) => !/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(name))).toEqual([]);
  });

  it('is not asked for again: a branch costs two questions, a commit none', async () => {
    const directory = await pull();
    server.requests.length = 0;
    expect(await pull()).toBe(directory);
    expect(server.downloads).toEqual([]);
    server.requests.length = 0;
    expect(await pull(`org/minnow@${COMMIT}`)).toBe(directory);
    expect(server.requests).toEqual([]);
  });

  it('tells how far it is, to the last byte', async () => {
    let now = 0;
    await pull('org/minnow', { dependencies: { now: () => (now += 10) } });
    const [listed] = eventsOf('listed');
    expect(listed).toMatchObject({ repo: 'org/minnow', commit: COMMIT, files: 5, missingBytes: listed?.bytes });
    const progress = eventsOf('progress');
    expect(progress.at(-1)).toMatchObject({ filesDone: 5, bytesDone: listed?.bytes, etaMs: 0 });
    const done = progress.map((event) => event.bytesDone);
    expect(done).toEqual([...done].sort((a, b) => a - b));
    expect(progress.some((event) => event.bytesPerSecond > 0 && (event.etaMs ?? 0) > 0)).toBe(true);
  });

  it('may lie in a folder, at a tag, behind a token', async () => {
    const { files } = repo();
    const moved = new Map([...files].map(([path, contents]) => [`cpu/int4/${path}`, contents]));
    server.repos.set('org/many', { revisions: { 'refs/pr/1': COMMIT }, files: moved, token: 'hf_secret' });
    const directory = await pull('org/many/cpu/int4@refs/pr/1', { token: 'hf_secret' });
    expect(await answerOf(directory)).toContain('enots');
    const told = server.requests.map(({ origin, authorization }) => `${origin} ${authorization}`);
    // The storage is somebody else: it must not see the token.
    expect([...new Set(told)].sort()).toEqual(['hub Bearer hf_secret', 'storage undefined']);
    expect(JSON.stringify(events)).not.toContain('hf_secret');
  });

  it('is looked for only where no such path exists', async () => {
    expect(await pull(MINNOW)).toBe(MINNOW);
    expect(await pull('./nowhere')).toBe('./nowhere');
    expect(server.requests).toEqual([]);
  });
});

describe('a variant', () => {
  it('brings its own files alone: split weights, and weights that only the graph names', async () => {
    const { files } = repo();
    files.set('onnx/model_q4.onnx', graphBytes());
    files.set('onnx/model_q4.onnx_data', Buffer.from('a'));
    files.set('onnx/model_q4.onnx_data_1', Buffer.from('b'));
    files.set('onnx/model_fp16.onnx', Buffer.from('not this one'));
    await pull('org/minnow', { dtype: 'q4' });
    expect(server.downloads.filter((path) => path.startsWith('onnx/')).sort()).toEqual([
      'onnx/model_q4.onnx',
      'onnx/model_q4.onnx_data',
      'onnx/model_q4.onnx_data_1',
    ]);
  });

  it('that is missing is refused with the names of those there are', async () => {
    await expect(pull('org/minnow', { dtype: 'q4f16' })).rejects.toThrow(
      /org\/minnow@main: there is no q4f16 graph; choose a dtype of: onnx\/model.onnx/,
    );
    expect(server.downloads).toEqual([]);
  });
});

describe('a broken download', () => {
  const breaks = (...mishaps: Mishap[]) => server.mishaps.set(GRAPH, mishaps);
  const ranges = () => server.requests.filter(({ origin }) => origin === 'storage').map(({ range }) => range);

  it('goes on where it broke', async () => {
    breaks({ breakAfter: 100_000 }, { status: 503, headers: { 'retry-after': '7' } });
    const directory = await pull();
    expect(await hasGraph(directory)).toBe(true);
    const [first, second, third] = ranges();
    expect(first).toBeUndefined();
    expect(second).toMatch(/^bytes=\d+-$/);
    expect(third).toBe(second);
    expect(eventsOf('retry').map(({ what, attempt, delayMs }) => [what, attempt, delayMs])).toEqual([
      [GRAPH, 1, 500],
      [GRAPH, 2, 7000],
    ]);
  });

  it('goes on in another process, after this one gave up', async () => {
    breaks(...Array.from({ length: 6 }, () => ({ breakAfter: 1000 })));
    await expect(pull()).rejects.toMatchObject({ code: 'unavailable' });
    expect((await blobs()).filter((name) => name.endsWith('.lock'))).toEqual([]);
    server.requests.length = 0;
    await pull();
    expect(ranges()).toEqual([expect.stringMatching(/^bytes=[1-9]\d*-$/)]);
  });

  it('begins anew where the server knows no ranges', async () => {
    breaks({ breakAfter: 100_000 }, { ignoreRange: true });
    const directory = await pull();
    expect(await hasGraph(directory)).toBe(true);
    expect(eventsOf('progress').at(-1)?.bytesDone).toBe(eventsOf('listed')[0]?.bytes);
  });

  const MEGABYTE = 2 ** 20;
  /** Weights beside the graph, of so many megabytes. */
  const weights = (megabytes: number): Buffer => {
    const contents = Buffer.alloc(megabytes * MEGABYTE);
    repo().files.set('onnx/model.onnx_data', contents);
    return contents;
  };

  it('goes on as long as it gets further, however often it breaks', async () => {
    weights(12);
    server.mishaps.set(
      'onnx/model.onnx_data',
      Array.from({ length: 8 }, () => ({ breakAfter: 1.25 * MEGABYTE })),
    );
    await pull();
    expect(eventsOf('retry').map(({ attempt }) => attempt)).not.toContain(6);
    expect(eventsOf('retry')).toHaveLength(8);
  });

  it('is given up where the same comes again and again, however much of it', async () => {
    weights(3);
    server.mishaps.set(
      'onnx/model.onnx_data',
      Array.from({ length: 40 }, () => ({ breakAfter: 2 * MEGABYTE, ignoreRange: true })),
    );
    await expect(pull()).rejects.toMatchObject({ code: 'unavailable' });
    // The first try, which got further, and five more.
    expect(eventsOf('retry').length).toBeLessThanOrEqual(6);
  });

  it('is given up where nothing comes any more', async () => {
    breaks({ stallAfter: 1000 });
    const directory = await pull('org/minnow', { dependencies: { idleTimeoutMs: 500 } });
    expect(await hasGraph(directory)).toBe(true);
    expect(eventsOf('retry')[0]?.reason).toContain('no answer in time');
  });

  it('is never taken for the file: contents that do not match the hash are fetched again, and then refused', async () => {
    breaks({ corrupt: true });
    expect(await hasGraph(await pull())).toBe(true);
    await rm(cacheDirectory, { recursive: true });
    breaks({ corrupt: true }, { corrupt: true });
    await expect(pull()).rejects.toThrow(/onnx\/model.onnx: .* does not match the hash/);
    expect(await blobs()).not.toContain(graphHash());
  });

  it('ends at once when another file cannot be had', async () => {
    breaks({ stallAfter: 1000 });
    weights(1);
    server.mishaps.set('onnx/model.onnx_data', [{ status: 404 }]);
    await expect(pull()).rejects.toMatchObject({ code: 'model_not_found' });
    expect(eventsOf('retry')).toEqual([]);
    expect((await blobs()).filter((name) => name.endsWith('.lock'))).toEqual([]);
  });

  it('ends at once when it is called off', async () => {
    const stop = new AbortController();
    breaks({ stallAfter: 1000 });
    const pulling = pull('org/minnow', { signal: stop.signal });
    while (!ranges().length) await new Promise((resolve) => setTimeout(resolve, 5));
    stop.abort(new Error('enough'));
    await expect(pulling).rejects.toThrow('enough');
    expect((await blobs()).filter((name) => name.endsWith('.lock'))).toEqual([]);
  });

  it('ends at once when it is called off while what arrived is checked', async () => {
    const contents = weights(48);
    const hash = createHash('sha256').update(contents).digest('hex');
    const blob = join(cacheDirectory, 'models--org--minnow', 'blobs', hash);
    await mkdir(dirname(blob), { recursive: true });
    await writeFile(`${blob}.shoal.incomplete`, contents);
    const stop = new AbortController();
    const pulling = pull('org/minnow', { signal: stop.signal });
    while (!existsSync(`${blob}.shoal.lock`)) await new Promise((resolve) => setImmediate(resolve));
    stop.abort(new Error('enough'));
    await expect(pulling).rejects.toThrow('enough');
    const names = await blobs();
    expect(names).toContain(`${hash}.shoal.incomplete`);
    expect(names.filter((name) => name.endsWith('.lock'))).toEqual([]);
  });
});

describe('two processes at once', () => {
  it('download each file once', async () => {
    const directories = await Promise.all([pull(), pull(), pull()]);
    expect(new Set(directories).size).toBe(1);
    expect(server.downloads.filter((path) => path === GRAPH)).toHaveLength(1);
    expect(await hasGraph(directories[0] ?? '')).toBe(true);
  });

  it('do not wait for one that died', async () => {
    const blob = join(cacheDirectory, 'models--org--minnow', 'blobs', graphHash());
    await mkdir(dirname(blob), { recursive: true });
    await writeFile(`${blob}.shoal.incomplete`, graphBytes().subarray(0, 50_000));
    // Process ids end far below this.
    await writeFile(`${blob}.shoal.lock`, JSON.stringify({ host: hostOfPids(), pid: 2 ** 30, id: 'x' }));
    await pull();
    expect(server.requests.find(({ origin }) => origin === 'storage')?.range).toBe('bytes=50000-');
  });
});

describe('a process that was given up, and wakes', () => {
  const partial = () => `${join(cacheDirectory, 'models--org--minnow', 'blobs', graphHash())}.shoal.incomplete`;
  const lockFile = () => partial().replace('incomplete', 'lock');

  it('does not write into what another one has finished meanwhile', async () => {
    await mkdir(dirname(partial()), { recursive: true });
    await writeFile(partial(), graphBytes().subarray(0, 50_000));
    const sleeper = await open(partial(), 'a');
    await writeFile(lockFile(), JSON.stringify({ host: 'elsewhere', pid: 1, id: 'x' }));
    await utimes(lockFile(), new Date(0), new Date(0));
    const directory = await pull();
    await sleeper.appendFile('what it had received before it fell asleep');
    await sleeper.close();
    expect(await hasGraph(directory)).toBe(true);
    expect(server.requests.find(({ origin }) => origin === 'storage')?.range).toBe('bytes=50000-');
  });

  it('leaves the file of its successor alone when it tries again', async () => {
    server.mishaps.set(GRAPH, [{ breakAfter: 1000 }]);
    // While it waits before it tries again, another takes its lock and begins.
    const pause = async (): Promise<void> => {
      await writeFile(lockFile(), JSON.stringify({ host: 'elsewhere', pid: 1, id: 'y' }));
      await writeFile(partial(), 'the successor’s');
    };
    await expect(pull('org/minnow', { dependencies: { pause } })).rejects.toThrow(/another process took over/);
    expect(await readFile(partial(), 'utf8')).toBe('the successor’s');
    expect(await readFile(lockFile(), 'utf8')).toContain('elsewhere');
  });
});

describe('without the network', () => {
  it('a hub that does not answer leaves what is cached, with one warning', async () => {
    const directory = await pull();
    await server.stop();
    events = [];
    expect(await pull()).toBe(directory);
    expect(eventsOf('warning').map(({ message }) => message)).toEqual([
      expect.stringMatching(/cannot be reached \(ECONNREFUSED\).*using the copy in the cache/),
    ]);
    expect(eventsOf('retry')).toEqual([]);
  });

  /** The server answers with another token, with nothing, or with a status and a page that is none of the hub's. */
  type Change = 'token' | 'nothing' | number;
  const change = (to: Change): void => {
    if (to === 'token') repo().token = 'new';
    else if (to === 'nothing') server.repos.clear();
    else server.refuses = to;
  };

  it.each<[string, Change, Given, RegExp]>([
    ['to a token that expired', 'token', { token: 'old' }, /the token in HF_TOKEN is not valid/],
    ['as if there were no such model', 'nothing', { token: 'old' }, /there is no such model/],
    ['because access was lost', 403, {}, /access is restricted \(403\)/],
    ['with a page of its own', 200, {}, /the answer is not one of the hub's API/],
  ])('a hub that answers %s leaves what is cached, with one warning', async (_, to, given, reason) => {
    const directory = await pull();
    events = [];
    change(to);
    expect(await pull('org/minnow', given)).toBe(directory);
    const warnings = eventsOf('warning').map(({ message }) => message);
    expect(warnings).toEqual([expect.stringMatching(reason)]);
    expect(warnings[0]).toMatch(/; using the copy in the cache, org\/minnow at commit c0ffee000000$/);
    expect(eventsOf('retry')).toEqual([]);
    await rm(join(directory, GRAPH));
    const failure = pull('org/minnow', given);
    await expect(failure).rejects.toMatchObject({ code: 'model_not_found' });
    await expect(failure).rejects.toThrow(reason);
  });

  it('a hub that gives the files of a newer commit to nobody leaves what is cached, with one warning', async () => {
    const directory = await pull();
    repo().revisions.main = `${'0'.repeat(39)}2`;
    repo().files.set('config.json', Buffer.from('{}'));
    repo().gated = true;
    expect(await pull()).toBe(directory);
    expect(eventsOf('warning').map(({ message }) => message)).toEqual([
      expect.stringMatching(/access is restricted \(403\).*using the copy in the cache/),
    ]);
  });

  it('what is not cached is refused, and says so', async () => {
    await server.stop();
    await expect(pull()).rejects.toMatchObject({ code: 'unavailable' });
    await expect(pull()).rejects.toThrow(/cannot be reached \(ECONNREFUSED\).*HF_ENDPOINT.*no directory org\/minnow/);
    await expect(pull('org/minnow', { offline: true })).rejects.toThrow(
      /HF_HUB_OFFLINE is set, and org\/minnow@main is not in/,
    );
  });

  it('a hub that answers leaves a cache that is up to date untouched, so that it may be read-only', async () => {
    const directory = await pull();
    const before = await readdir(cacheDirectory, { recursive: true });
    const links = await lstat(join(directory, GRAPH));
    await pull();
    expect(await readdir(cacheDirectory, { recursive: true })).toEqual(before);
    expect((await lstat(join(directory, GRAPH))).ino).toBe(links.ino);
  });

  it('a copy that lacks a file is not offered', async () => {
    const directory = await pull();
    await rm(join(directory, 'tokenizer.json'));
    await expect(pull('org/minnow', { offline: true })).rejects.toThrow(/tokenizer.json is not in the cache/);
  });
});

describe('a refusal', () => {
  it.each([
    [
      'a model that does not exist',
      'org/nothing',
      {},
      /org\/nothing on http\S+: there is no such model, or it is private; .*HF_TOKEN/,
    ],
    [
      'one that does not exist for this token',
      'org/nothing',
      { token: 'hf_x' },
      /there is no such model; check its name/,
    ],
    ['a revision', 'org/minnow@v9', {}, /there is no revision v9; give a branch, a tag or a commit/],
    ['a private model', 'org/private', {}, /it is private; .*set HF_TOKEN/],
    ['a wrong token', 'org/private', { token: 'hf_wrong' }, /the token in HF_TOKEN is not valid/],
    [
      'a gated model',
      'org/gated',
      { token: 'hf_x' },
      /access is restricted \(403\); ask for access at http\S+\/org\/gated/,
    ],
  ])('of %s says what to do', async (_, model, given, message) => {
    server.repos.set('org/private', { ...repo(), token: 'hf_secret' });
    server.repos.set('org/gated', { ...repo(), gated: true });
    const failure = pull(model, given);
    await expect(failure).rejects.toMatchObject({ code: 'model_not_found' });
    await expect(failure).rejects.toThrow(message);
    expect(eventsOf('retry')).toEqual([]);
  });

  it('of a full disk comes before the download, or from the disk itself', async () => {
    const full = pull('org/minnow', { dependencies: { freeBytes: async () => 1000 } });
    await expect(full).rejects.toThrow(/the disk is full, \d+ MB are needed; make room, or set HF_HOME/);
    expect(server.downloads).toEqual([]);
    // A device that is always full stands where the file would be written.
    const blob = join(cacheDirectory, 'models--org--minnow', 'blobs', graphHash());
    await mkdir(dirname(blob), { recursive: true });
    await symlink('/dev/full', `${blob}.shoal.incomplete`);
    const failure = pull();
    await expect(failure).rejects.toMatchObject({ code: 'unavailable' });
    await expect(failure).rejects.toThrow(/the disk is full/);
  });

  it('of a server that is no hub does not end in a riddle', async () => {
    const other = createServer((_, response) => response.end('<html>Welcome</html>'));
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    await expect(pull('org/minnow', { endpoint: `http://127.0.0.1:${port}` })).rejects.toThrow(
      /the answer is not one of the hub's API; check HF_ENDPOINT/,
    );
    other.close();
  });

  it('of a repository that would write elsewhere leaves such files alone', async () => {
    repo().files.set('../../../evil.json', Buffer.from('{}'));
    await pull();
    expect(server.downloads.filter((path) => path.includes('evil'))).toEqual([]);
  });
});
