import type { RedisHealth } from '@shoal/queue';
import { createWorkerMetrics } from '@shoal/telemetry';
import { afterEach, expect, test } from 'vitest';
import { BatchLog } from './batch-log.ts';
import { HealthServer } from './health-server.ts';
import { tellHealth } from './locate-model.ts';

const opened: HealthServer[] = [];
afterEach(async () => {
  for (const health of opened.splice(0)) await health.close();
});

async function listening(ping: () => Promise<number> = async () => 1): Promise<HealthServer> {
  const redis: RedisHealth = { ping, close: () => {} };
  const { registry } = createWorkerMetrics({ model: 'minnow' });
  const health = new HealthServer({ registry, batches: new BatchLog(), redis });
  opened.push(health);
  await health.listen('127.0.0.1', 0);
  return health;
}

async function asked(health: HealthServer, path: string): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`${health.url}${path}`, { signal: AbortSignal.timeout(10_000) });
  return { status: response.status, body: await response.json() };
}

test('a worker that waits for its model lives, and says what it waits for', async () => {
  const health = await listening();
  expect(await asked(health, '/health/live')).toEqual({ status: 200, body: { status: 'ok' } });
  expect(await asked(health, '/health/ready')).toEqual({ status: 503, body: { status: 'looking for the model' } });

  tellHealth(health, { type: 'listed', repo: 'org/m', commit: 'c', files: 2, bytes: 1_000, missingBytes: 900 });
  const progress = { files: 2, filesDone: 1, bytes: 1_000, bytesPerSecond: 1, etaMs: undefined };
  tellHealth(health, { type: 'progress', bytesDone: 400, ...progress });
  const downloading = { status: 'downloading the model', bytesDone: 400, bytes: 1_000 };
  expect(await asked(health, '/health/ready')).toEqual({ status: 503, body: downloading });
  expect((await asked(health, '/health/live')).status).toBe(200);

  health.phase = 'loading the model';
  expect(await asked(health, '/health/ready')).toEqual({ status: 503, body: { status: 'loading the model' } });
});

test('a model that lies in the cache is not downloaded', async () => {
  const health = await listening();
  tellHealth(health, { type: 'listed', repo: 'org/m', commit: 'c', files: 2, bytes: 1_000, missingBytes: 0 });
  expect((await asked(health, '/health/ready')).body).toEqual({ status: 'looking for the model' });
});

test('it is ready when it is loaded, announced, and Redis answers; never while it drains', async () => {
  let redis: 'there' | 'away' = 'there';
  const health = await listening(() => (redis === 'there' ? Promise.resolve(1) : Promise.reject(new Error('away'))));
  const ready = (): Promise<{ status: number; body: unknown }> => asked(health, '/health/ready');
  health.phase = 'loaded';
  expect(await ready()).toEqual({ status: 503, body: { status: 'not announced yet' } });
  health.announced = true;
  expect(await ready()).toEqual({ status: 200, body: { status: 'ok' } });
  redis = 'away';
  expect(await ready()).toEqual({ status: 503, body: { status: 'redis unavailable' } });
  redis = 'there';
  health.draining = true;
  expect(await ready()).toEqual({ status: 503, body: { status: 'draining' } });
});
