import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { pnpm } from '../../scripts/bootstrap.mjs';
import { waitUntil } from '../../scripts/system/bounded.mjs';
import { freePort } from '../../scripts/system/ports.mjs';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const APPS = ['api', 'worker', 'board'] as const;
type App = (typeof APPS)[number];
const BUILD_LIMIT_MS = 240_000;
const READY_LIMIT_MS = 30_000;
const LINES_KEPT = 40;
const PASSWORD = 'a-password-for-tests';

/**
 * What the images hold, without a daemon to build them: the trees that the Dockerfile's `pnpm deploy` steps make, in a
 * root file system with Node, its C libraries and nothing else, run by an ordinary user who can write to /tmp alone.
 */
describe.runIf(process.platform === 'linux' && process.getuid?.() === 0)('the production trees in a bare root', () => {
  const root = mkdtempSync(join(tmpdir(), 'shoal-root-'));
  const running: { kill: () => void; gone: Promise<unknown> }[] = [];
  const url: Record<App, string> = { api: '', worker: '', board: '' };

  beforeAll(async () => {
    installNode(root);
    mkdirSync(join(root, 'tmp'));
    chmodSync(join(root, 'tmp'), 0o1777);
    chmodSync(root, 0o755);
    for (const app of APPS)
      await pnpm(['--filter', `@shoal/${app}`, 'deploy', '--prod', join(root, app)], BUILD_LIMIT_MS);
    cpSync(join(repository, 'models/minnow'), join(root, 'models/minnow'), { recursive: true });
    const ports = { api: await freePort(), worker: await freePort(), board: await freePort() };
    const shared = { REDIS_URL: inject('redisUrl'), QUEUE_PREFIX: `bare-${process.pid}` };
    const settings: Record<App, Record<string, string>> = {
      api: { ...shared, PORT: String(ports.api) },
      worker: { ...shared, METRICS_PORT: String(ports.worker), MODEL: '/models/minnow' },
      board: { ...shared, BOARD_PORT: String(ports.board), BOARD_PASSWORD: PASSWORD },
    };
    for (const app of APPS) {
      url[app] = `http://127.0.0.1:${ports[app]}`;
      running.push(await start(root, app, settings[app], url[app]));
    }
  }, BUILD_LIMIT_MS);

  afterAll(async () => {
    for (const { kill } of running) kill();
    await Promise.all(running.map(({ gone }) => gone));
    rmSync(root, { recursive: true, force: true });
  });

  it('answers a prompt over HTTP, through all of them', async () => {
    const response = await fetch(`${url.api}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'minnow', prompt: '2 + 3 =', max_tokens: 8, temperature: 0 }),
      signal: AbortSignal.timeout(READY_LIMIT_MS),
    });
    expect(response.status).toBe(200);
    const body = (await response.json()) as { choices: { text: string }[] };
    expect(body.choices[0]?.text).toMatch(/\d/);
  });

  it('shows the board to whoever knows the password', async () => {
    const open = (headers: Record<string, string>) =>
      fetch(url.board, { headers, signal: AbortSignal.timeout(10_000) });
    expect((await open({})).status).toBe(401);
    const login = Buffer.from(`admin:${PASSWORD}`).toString('base64');
    expect((await open({ authorization: `Basic ${login}` })).status).toBe(200);
  });

  it('carries the inference library in the worker alone', () => {
    const holders = APPS.filter((app) =>
      readdirSync(join(root, app, 'node_modules/.pnpm')).some((name) => name.startsWith('onnxruntime-node@')),
    );
    expect(holders).toEqual(['worker']);
  });

  it('leaves tests and tools at home', () => {
    for (const app of APPS) {
      const packages = readdirSync(join(root, app, 'node_modules/.pnpm'));
      expect(
        packages.filter((name) => /^(vitest|typescript|turbo|knip|@biomejs)/.test(name)),
        app,
      ).toEqual([]);
      expect(existsSync(join(root, app, 'src')), app).toBe(false);
    }
  });
});

/** Node and the libraries that it is linked with. */
function installNode(root: string): void {
  const listed = execFileSync('ldd', [process.execPath], { encoding: 'utf8' });
  const libraries = [...listed.matchAll(/(\/\S+) \(0x/g)].map((match) => match[1] ?? '');
  // Those that ONNX Runtime and koffi ask for besides.
  const alsoThere = libraries
    .filter((file) => file.includes('libc.so'))
    .flatMap((file) => ['librt.so.1', 'libdl.so.2', 'libpthread.so.0'].map((name) => join(dirname(file), name)));
  for (const file of [...libraries, ...alsoThere]) {
    if (!existsSync(file)) continue;
    mkdirSync(join(root, dirname(file)), { recursive: true });
    cpSync(file, join(root, file), { dereference: true });
  }
  // A container has /proc; these files of it are read by ONNX Runtime and by Node, which asks them for free memory.
  mkdirSync(join(root, 'proc/self'), { recursive: true });
  for (const file of ['/proc/cpuinfo', '/proc/meminfo', '/proc/self/cgroup']) {
    writeFileSync(join(root, file), readFileSync(file));
  }
  mkdirSync(join(root, 'bin'));
  cpSync(process.execPath, join(root, 'bin/node'), { dereference: true });
}

async function start(root: string, app: App, env: Record<string, string>, url: string) {
  const child = spawn('chroot', ['--userspec=1000:1000', root, '/bin/node', `/${app}/dist/main.js`], {
    env: { PATH: '/usr/sbin:/usr/bin:/bin', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      lines.push(chunk.toString());
      if (lines.length > LINES_KEPT) lines.shift();
    });
  }
  const gone = new Promise((resolve) => child.once('close', resolve));
  const ready = () =>
    fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(2_000) }).then(
      ({ ok }) => ok,
      () => false,
    );
  const answered = await waitUntil(async () => child.exitCode !== null || (await ready()), {
    limitMs: READY_LIMIT_MS,
    everyMs: 50,
  });
  expect(answered && child.exitCode === null, `${app}: ${lines.join('')}`).toBe(true);
  return { kill: () => child.kill('SIGTERM'), gone };
}
