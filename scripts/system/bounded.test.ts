import { describe, expect, it } from 'vitest';
import { runCommand, waitUntil } from './bounded.mjs';

describe('runCommand', () => {
  it('gives exit code and output', async () => {
    const result = await runCommand(
      process.execPath,
      ['-e', 'console.log("out"); console.error("err"); process.exit(3)'],
      {
        limitMs: 10_000,
      },
    );
    expect(result.code).toBe(3);
    expect(result.output).toContain('out');
    expect(result.output).toContain('err');
  });

  it('ends a command, and what it started, at the limit', async () => {
    const { code, output } = await runCommand('sh', ['-c', 'sleep 60 & echo begun; wait'], { limitMs: 300 });
    expect(code).toBeNull();
    expect(output).toContain('begun');
    expect(output).toContain('ended after');
  });

  it('does not reject when there is no such command', async () => {
    const { code, output } = await runCommand('/no/such/program', [], { limitMs: 1_000 });
    expect(code).toBeNull();
    expect(output).toContain('ENOENT');
  });
});

describe('waitUntil', () => {
  it('stops asking once the condition holds', async () => {
    let asked = 0;
    expect(await waitUntil(() => ++asked === 3, { limitMs: 10_000, everyMs: 1 })).toBe(true);
    expect(asked).toBe(3);
  });

  it('gives up at the limit', async () => {
    expect(await waitUntil(() => false, { limitMs: 20, everyMs: 1 })).toBe(false);
  });
});
