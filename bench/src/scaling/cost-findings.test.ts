import { expect, test } from 'vitest';
import { costFindings } from './cost-findings.ts';
import type { Point } from './point.ts';

/** A fleet whose Redis spends 2 ms a second on its 10 workers, 100 µs on a job and 20 µs on a token. */
function point(jobsPerSecond: number, tokens: number): Point {
  const tokensPerSecond = jobsPerSecond * tokens;
  const mainCores = 0.002 + jobsPerSecond * 100e-6 + tokensPerSecond * 20e-6;
  const redis = {
    ...{ cores: mainCores, mainCores, busiestMainCores: mainCores, scriptsPerSecond: 0, commandsPerSecond: 0 },
    ...{ mainWaiting: 0, busiestMainWaiting: 0, bytesInPerSecond: 0, bytesOutPerSecond: 0, clients: 0, memoryBytes: 0 },
  };
  const rest = {
    seconds: 5,
    shareOfDevices: 1,
    workerCores: 0,
    callerCores: 0,
    tokensPerPiece: 1,
    fill: 1,
    hostCores: 1,
  };
  return {
    workers: 10,
    tokensPerSecond,
    jobsPerSecond,
    redis,
    ...rest,
    emitP50Ms: 1,
    emitP99Ms: 1,
    wrong: 0,
    refused: 0,
    errors: [],
  };
}

test('the costs of worker, job and token are told apart', () => {
  const findings = costFindings({ idle: point(0, 0), short: point(500, 8), long: point(60, 128) });
  const figure = (name: string): number => findings.find((one) => one.name === name)?.value ?? Number.NaN;
  expect(figure('Redis CPU per token')).toBeCloseTo(20);
  expect(figure('Redis CPU per job, beside its tokens')).toBeCloseTo(100);
  expect(figure('Redis CPU per idle worker and second')).toBeCloseTo(200);
});
