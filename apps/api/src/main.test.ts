import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, inject, test } from 'vitest';

// The built process, as production starts it.

const MAIN = join(import.meta.dirname, '../dist/main.js');
const running: { kill(): unknown }[] = [];
afterEach(() => {
  for (const child of running.splice(0)) child.kill();
});

interface Started {
  /** Resolves with the exit code. */
  ended: Promise<number | null>;
  /** Resolves once the output matches. */
  said(pattern: RegExp): Promise<RegExpExecArray>;
  output(): string;
  kill(signal: NodeJS.Signals): void;
}

function start(env: Record<string, string>): Started {
  const cwd = mkdtempSync(join(tmpdir(), 'shoal-api-'));
  const child = spawn(process.execPath, [MAIN], {
    cwd,
    env: { PATH: process.env.PATH, REDIS_URL: inject('redisUrl'), ...env },
  });
  running.push(child);
  let output = '';
  const listeners = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data) => {
      output += data.toString();
      for (const listener of listeners) listener();
    });
  }
  return {
    ended: once(child, 'exit').then(([code]) => code as number | null),
    said: (pattern) =>
      new Promise((resolve) => {
        const look = (): void => {
          const found = pattern.exec(output);
          if (found !== null) resolve(found);
        };
        listeners.add(look);
        look();
      }),
    output: () => output,
    kill: (signal) => child.kill(signal),
  };
}

test('it listens, answers, and ends with 0 on SIGTERM', async () => {
  const api = start({ PORT: '0', QUEUE_PREFIX: 'test-api-main' });
  const [, url] = await api.said(/listening on (http:\/\/127\.0\.0\.1:\d+)/);
  expect((await fetch(`${url}/health/ready`)).status).toBe(200);
  api.kill('SIGTERM');
  expect(await api.ended).toBe(0);
});

test('a port in use is one line that says what to do', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const api = start({ PORT: String((other.address() as AddressInfo).port) });
  expect(await api.ended).toBe(1);
  const lines = api.output().trimEnd().split('\n');
  expect(lines.at(-1)).toBe('PORT is in use by another process; stop it, or set PORT to another one');
  other.close();
});

test('bad settings are one line each', async () => {
  const api = start({ PORT: 'eighty', HOST: '0.0.0.0!', API_KEY: 'hunter2hunter2' });
  expect(await api.ended).toBe(1);
  expect(api.output().trim().split('\n')).toHaveLength(3);
  expect(api.output()).not.toContain('hunter2');
});

test('without Redis it starts, says it is not ready, and is alive', async () => {
  const api = start({ PORT: '0', REDIS_URL: 'redis://127.0.0.1:1' });
  const [, url] = await api.said(/listening on (http:\/\/127\.0\.0\.1:\d+)/);
  expect((await fetch(`${url}/health/live`)).status).toBe(200);
  expect((await fetch(`${url}/health/ready`)).status).toBe(503);
  api.kill('SIGTERM');
  expect(await api.ended).toBe(0);
});
