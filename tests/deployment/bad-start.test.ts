import { randomUUID } from 'node:crypto';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type Server } from 'node:net';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, inject, it } from 'vitest';
import { waitUntil } from '../../scripts/system/bounded.mjs';
import { freePort } from '../../scripts/system/ports.mjs';
import { MODEL_DIRECTORY } from '../cluster/cluster.ts';
import { AppProcess } from '../cluster/process.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const redisUrl = inject('redisUrl');
const LIMIT_MS = 30_000;

describe('a start that cannot succeed', () => {
  const processes: AppProcess[] = [];
  let taken: Server | undefined;
  const closers: (() => Promise<void>)[] = [];

  afterEach(async () => {
    for (const each of processes.splice(0)) await each.stop();
    taken?.close();
    for (const close of closers.splice(0)) await close();
  });

  function start(app: string, env: Record<string, string>): AppProcess {
    const model = app === 'worker' ? { MODEL: MODEL_DIRECTORY, METRICS_PORT: '0' } : {};
    const child = new AppProcess(app, `${root}apps/${app}/dist/main.js`, { REDIS_URL: redisUrl, ...model, ...env });
    processes.push(child);
    return child;
  }

  /** The lines that a person is to read: no JSON line below `fatal`. */
  function told(output: string): string[] {
    return output.split('\n').filter((line) => line !== '' && (!line.startsWith('{') || line.includes('"level":60')));
  }

  async function port(): Promise<string> {
    const server = createServer();
    taken = server;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    return address !== null && typeof address === 'object' ? String(address.port) : '';
  }

  it.each([
    ['worker', 'METRICS_PORT'],
    ['api', 'PORT'],
    ['board', 'BOARD_PORT'],
  ])('%s: its port is in use', { timeout: 60_000 }, async (app, setting) => {
    const child = start(app, {
      [setting]: await port(),
      ...(app === 'board' ? { BOARD_PASSWORD: 'correct horse' } : {}),
    });
    expect(await child.exitCode(LIMIT_MS)).toBe(1);
    expect(told(child.output)).toHaveLength(1);
    expect(told(child.output)[0]).toContain(setting);
  });

  it.each([
    ['a model that is not there', { MODEL: '/nowhere/minnow' }, '/nowhere/minnow'],
    ['less memory than one sequence needs', { KV_CACHE_MB: '1', MAX_MODEL_LEN: '512' }, 'KV'],
    ['a setting that is none', { MAX_BATCH_SIZE: 'many' }, 'MAX_BATCH_SIZE'],
  ])('worker: %s', { timeout: 60_000 }, async (_, env, named) => {
    const child = start('worker', env);
    expect(await child.exitCode(LIMIT_MS), child.output).toBe(1);
    expect(told(child.output)).toHaveLength(1);
    expect(told(child.output)[0]).toContain(named);
    expect(child.output).not.toContain('    at ');
  });

  it('worker: a model that is long in coming is waited for, alive and with a reason', { timeout: 60_000 }, async () => {
    // A hub that takes every request and answers none.
    const hub = createHttpServer(() => {});
    await new Promise<void>((resolve) => hub.listen(0, '127.0.0.1', resolve));
    closers.push(async () => {
      hub.closeAllConnections();
      await new Promise((resolve) => hub.close(resolve));
    });
    const address = hub.address();
    const endpoint = `http://127.0.0.1:${address !== null && typeof address === 'object' ? address.port : 0}`;
    const metricsPort = String(await freePort());
    const child = start('worker', {
      MODEL: 'org/large',
      HF_ENDPOINT: endpoint,
      MODEL_NAME: 'large',
      METRICS_PORT: metricsPort,
    });
    const ask = async (path: string): Promise<{ status: number; text: string }> => {
      const response = await fetch(`http://127.0.0.1:${metricsPort}${path}`, { signal: AbortSignal.timeout(4_000) });
      return { status: response.status, text: await response.text() };
    };
    const live = () =>
      ask('/health/live').then(
        ({ status }) => status === 200,
        () => false,
      );
    expect(await waitUntil(live, { limitMs: LIMIT_MS, everyMs: 100 }), child.output).toBe(true);
    expect(await ask('/health/ready')).toEqual({ status: 503, text: '{"status":"looking for the model"}' });
    // It can be scraped: a worker that fetches its model is no target that is down.
    expect((await ask('/metrics')).text).toMatch(/^shoal_slots\{model="large"\} 0$/m);
    // And it is made talkative, not ended, while it waits.
    child.signal('SIGUSR2');
    const talkative = () => child.output.includes('"logLevel":"debug"');
    expect(await waitUntil(talkative, { limitMs: LIMIT_MS, everyMs: 50 }), child.output).toBe(true);
    expect((await ask('/health/live')).status).toBe(200);
  });

  it('every process: a wrong Redis password is said in one line, and waited for', { timeout: 90_000 }, async () => {
    const wrong = { REDIS_URL: await wrongPassword() };
    const metricsPort = String(await freePort());
    const apiPort = String(await freePort());
    const boardPort = String(await freePort());
    const all = [
      { child: start('api', { ...wrong, PORT: apiPort }), ready: `http://127.0.0.1:${apiPort}` },
      { child: start('worker', { ...wrong, METRICS_PORT: metricsPort }), ready: `http://127.0.0.1:${metricsPort}` },
      {
        child: start('board', { ...wrong, BOARD_PORT: boardPort, BOARD_PASSWORD: 'correct horse' }),
        ready: `http://127.0.0.1:${boardPort}`,
      },
    ];
    for (const { child, ready } of all) {
      const status = () =>
        fetch(`${ready}/health/ready`, { signal: AbortSignal.timeout(4_000) }).then(
          (response) => response.status,
          () => 0,
        );
      const answers503 = async () => (await status()) === 503;
      expect(await waitUntil(answers503, { limitMs: LIMIT_MS, everyMs: 200 }), child.output).toBe(true);
      const refused = () => child.output.includes('refuses the user or password in REDIS_URL');
      expect(await waitUntil(refused, { limitMs: LIMIT_MS, everyMs: 100 }), child.output).toBe(true);
      expect(child.child.exitCode).toBeNull();
      expect(child.output).not.toContain('wrong@');
    }
  });

  /** A URL with the wrong password of a user that there is. */
  async function wrongPassword(): Promise<string> {
    const user = `guarded-${randomUUID().slice(0, 8)}`;
    const redis = new Redis(redisUrl);
    await redis.call('ACL', 'SETUSER', user, 'on', '>right', '~*', '+@all');
    closers.push(async () => {
      await redis.call('ACL', 'DELUSER', user);
      redis.disconnect();
    });
    const url = new URL(redisUrl);
    return `${url.protocol}//${user}:wrong@${url.host}`;
  }
});
