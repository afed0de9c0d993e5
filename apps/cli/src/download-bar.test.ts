import { describe, expect, it } from 'vitest';
import { DownloadBar, renderDownload } from './download-bar.ts';

const progress = {
  type: 'progress',
  files: 7,
  filesDone: 3,
  bytes: 1_290_000_000,
  bytesDone: 645_000_000,
  bytesPerSecond: 38_100_000,
  etaMs: 16_900,
} as const;

describe('renderDownload', () => {
  it('tells how far, how fast and how long', () => {
    const bar = '[############------------] 3/7 files  645.0/1290.0 MB  38.1 MB/s  ETA 0:17';
    expect(renderDownload(progress)).toBe(bar);
  });

  it('promises nothing that it does not know, and fits the terminal', () => {
    const start = { ...progress, bytesDone: 0, bytesPerSecond: 0, etaMs: undefined };
    expect(renderDownload(start)).toBe('[------------------------] 3/7 files  0.0/1290.0 MB');
    expect(renderDownload(progress, 20)).toHaveLength(19);
  });
});

describe('DownloadBar', () => {
  const draw = (isTTY: boolean) => {
    const written: string[] = [];
    let now = 0;
    const bar = new DownloadBar({ isTTY, write: (text) => written.push(text) }, () => now);
    for (; now < 1000; now += 10) bar.show(progress);
    bar.show({ type: 'retry', what: 'model.onnx', attempt: 1, reason: 'it broke off', delayMs: 500 });
    bar.end();
    return written;
  };

  it('draws at most ten times a second, lets a trouble through, and leaves a last line', () => {
    const written = draw(true);
    expect(written).toHaveLength(12);
    expect(written.at(-2)).toContain('shoal: model.onnx: it broke off; trying again\n');
    expect(written.at(-1)).toMatch(/3\/7 files.*\n$/);
  });

  it('tells a log the troubles alone', () => {
    expect(draw(false)).toEqual(['shoal: model.onnx: it broke off; trying again\n']);
  });
});
