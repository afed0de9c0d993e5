import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { HubServer, repoOf } from '../../../packages/engine/src/testing/hub-server.ts';
import { MINNOW } from '../../../packages/engine/src/testing/minnow.ts';
import { waitUntil } from '../../../scripts/system/bounded.mjs';
import { freePort } from '../../../scripts/system/ports.mjs';

// The built process, as production starts it.

const MAIN = join(import.meta.dirname, '../dist/main.js');
const GRAPH = 'onnx/model.onnx';
const LIMIT_MS = 60_000;

let hub: HubServer;
let folder: string;
const running: ChildProcess[] = [];
beforeEach(async () => {
  hub = await HubServer.start();
  hub.repos.set('org/minnow', await repoOf(MINNOW));
  folder = await mkdtemp(join(tmpdir(), 'shoal-worker-'));
});
afterEach(async () => {
  for (const child of running.splice(0)) child.kill('SIGKILL');
  await hub.stop();
});

interface Started {
  child: ChildProcess;
  output: () => string;
  /** What `/health/ready` says the worker waits for. */
  phase: () => Promise<string | undefined>;
  /** The exit code; null when a signal ended it. */
  ended: Promise<number | null>;
}

async function start(model: string): Promise<Started> {
  const port = await freePort();
  const child = spawn(process.execPath, [MAIN], {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      REDIS_URL: inject('redisUrl'),
      QUEUE_PREFIX: 'test-worker-main',
      METRICS_PORT: String(port),
      MODEL: model,
      MODEL_NAME: 'minnow',
      HF_ENDPOINT: hub.url,
      HF_HOME: folder,
    },
  });
  running.push(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += String(data)));
  const phase = async (): Promise<string | undefined> => {
    const response = await fetch(`http://127.0.0.1:${port}/health/ready`).catch(() => undefined);
    return response === undefined ? undefined : ((await response.json()) as { status: string }).status;
  };
  return { child, output: () => output, phase, ended: once(child, 'exit').then(([code]) => code as number | null) };
}

async function until({ output }: Started, condition: () => Promise<boolean>): Promise<void> {
  expect(await waitUntil(condition, { limitMs: LIMIT_MS, everyMs: 10 }), output()).toBe(true);
}

async function locks(): Promise<string[]> {
  const names = await readdir(folder, { recursive: true });
  return names.filter((name) => name.endsWith('.lock'));
}

test('a worker that is told to stop while it downloads its model ends with 0, and leaves no lock', {
  timeout: 2 * LIMIT_MS,
}, async () => {
  hub.mishaps.set(
    GRAPH,
    Array.from({ length: 10 }, () => ({ stallAfter: 1000 })),
  );
  const worker = await start('org/minnow');
  await until(worker, async () => (await locks()).length > 0);
  worker.child.kill('SIGTERM');
  expect(await worker.ended, worker.output()).toBe(0);
  expect(await locks()).toEqual([]);
  expect(worker.output()).not.toContain('"level":60');
});

test('a worker that is told to stop while it loads its model ends with 0, before it is ready', {
  timeout: 2 * LIMIT_MS,
}, async () => {
  const worker = await start(MINNOW);
  await until(worker, async () => (await worker.phase()) === 'loading the model');
  worker.child.kill('SIGINT');
  expect(await worker.ended, worker.output()).toBe(0);
  expect(worker.output()).toContain('stopped before the model was there');
  expect(worker.output()).not.toContain('"level":60');
});

test('a worker that is told to stop when it is ready drains, and ends with 0', { timeout: 2 * LIMIT_MS }, async () => {
  const worker = await start(MINNOW);
  await until(worker, async () => (await worker.phase()) === 'ok');
  worker.child.kill('SIGTERM');
  expect(await worker.ended, worker.output()).toBe(0);
  expect(worker.output()).toContain('"drained"');
});
