import { describe, expect, it } from 'vitest';
import { ProgressBar, renderProgress } from './progress-bar.ts';

const progress = { total: 4, submitted: 4, completed: 1, failed: 0, tokens: 300 };

describe('renderProgress', () => {
  it('tells how far, how fast and how long', () => {
    expect(renderProgress(progress, 2000)).toBe('[######------------------] 1/4  150 tok/s  ETA 0:06');
    expect(renderProgress({ ...progress, failed: 1 }, 68_000)).toContain('2/4  1 failed  4 tok/s  ETA 1:08');
  });

  it('promises nothing that it does not know', () => {
    const { total: _, ...reading } = progress;
    expect(renderProgress(reading, 2000)).toBe('[------------------------] 1/?  150 tok/s');
    expect(renderProgress({ ...progress, completed: 0 }, 0)).toBe('[------------------------] 0/4  0 tok/s');
  });

  it('fits the terminal', () => {
    expect(renderProgress(progress, 2000, 20)).toHaveLength(19);
  });
});

describe('ProgressBar', () => {
  it('draws at most ten times a second, and leaves a last line', () => {
    const written: string[] = [];
    let now = 0;
    const bar = new ProgressBar({ write: (text) => written.push(text) }, () => now);
    for (now = 0; now < 1000; now += 10) bar.update(progress);
    expect(written).toHaveLength(10);
    bar.update({ ...progress, completed: 4 });
    bar.end();
    expect(written.at(-1)).toMatch(/4\/4.*\n$/);
  });
});
