import { expect, test } from 'vitest';
import { kneeOf } from './knee.ts';
import type { Point } from './point.ts';

function point(workers: number, shareOfDevices: number, mainCores: number, hostCores: number): Point {
  const redis = {
    ...{ cores: mainCores, mainCores, busiestMainCores: mainCores, scriptsPerSecond: 0, commandsPerSecond: 0 },
    ...{ mainWaiting: 0, busiestMainWaiting: 0, bytesInPerSecond: 0, bytesOutPerSecond: 0, clients: 0, memoryBytes: 0 },
  };
  const rest = { seconds: 5, workerCores: 0, callerCores: 0, tokensPerPiece: 1, fill: 1, emitP50Ms: 1, emitP99Ms: 2 };
  const tokensPerSecond = 100 * workers * shareOfDevices;
  return {
    workers,
    tokensPerSecond,
    jobsPerSecond: 1,
    shareOfDevices,
    redis,
    hostCores,
    wrong: 0,
    refused: 0,
    errors: [],
    ...rest,
  };
}

test('the knee is the first point that falls behind its devices, and Redis is told by its cost before', () => {
  const points = [point(100, 0.5, 0.95, 2), point(10, 1, 0.2, 0.5), point(20, 0.96, 0.4, 1)];
  const knee = kneeOf(points, 4, 100);
  expect(knee).toMatchObject({ linearUpTo: 20, kneeAt: 100, cause: 'redis', mostTokensPerSecond: 5_000 });
  expect(knee.redisTokensPerSecond).toBeCloseTo(4_800);
  expect(knee.redisWorkers).toBeCloseTo(48);
});

test('a full machine is not a full Redis', () => {
  expect(kneeOf([point(8, 1, 0.3, 1), point(16, 0.7, 0.6, 1.95)], 2, 100).cause).toBe('host');
  expect(kneeOf([point(8, 1, 0.3, 1), point(16, 0.7, 0.6, 1.2)], 2, 100).cause).toBe('neither');
});

test('a Redis that always has work and does not get a core for it is held up by the machine', () => {
  const starved = point(16, 0.7, 0.8, 1.7);
  const redis = { ...starved.redis, busiestMainWaiting: 0.15 };
  expect(kneeOf([point(8, 1, 0.3, 1), { ...starved, redis }], 2, 100).cause).toBe('host');
});

test('a line without a knee has none', () => {
  const knee = kneeOf([point(1, 1, 0.1, 0.2), point(2, 1.01, 0.2, 0.4)], 2, 100);
  expect(knee.linearUpTo).toBe(2);
  expect(knee).not.toHaveProperty('kneeAt');
  expect(kneeOf([point(1, 0.5, 0.1, 0.2)], 2, 100)).not.toHaveProperty('linearUpTo');
});
