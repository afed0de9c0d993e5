import type { Logger } from '@shoal/telemetry';
import { expect, it } from 'vitest';
import { downloadLog } from './locate-model.ts';

const PROGRESS = { type: 'progress', files: 5, filesDone: 1, bytes: 9, bytesPerSecond: 1, etaMs: 1 } as const;

it('tells of a download every five seconds, and of its troubles at once', () => {
  const lines: unknown[][] = [];
  let now = 0;
  const note = (...line: unknown[]): void => void lines.push(line);
  const log = downloadLog({ info: note, warn: note } as Pick<Logger, 'info' | 'warn'>, () => now);
  for (; now < 12_000; now += 100) log({ ...PROGRESS, bytesDone: now });
  log({ type: 'retry', what: 'model.onnx', attempt: 1, reason: 'ECONNRESET', delayMs: 500 });
  log({ type: 'warning', message: 'the hub cannot be reached' });
  expect(lines).toMatchObject([
    [{ bytesDone: 0 }, 'downloading the model'],
    [{ bytesDone: 5000 }, 'downloading the model'],
    [{ bytesDone: 10_000 }, 'downloading the model'],
    [{ what: 'model.onnx', reason: 'ECONNRESET' }, 'the download broke off; trying again'],
    ['the hub cannot be reached'],
  ]);
});
