import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { runCommand } from '../../scripts/system/bounded.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const LIMIT_MS = 120_000;

it(
  '`npm run demo -- --once` gets every answer right, in batches, and leaves nothing behind',
  async () => {
    // A Redis of its own, as on a machine that has none; ports that are taken are no obstacle.
    const env = { ...process.env, REDIS_URL: '', NO_COLOR: '1', FORCE_COLOR: '' };
    const command = [join(root, 'scripts/demo.mjs'), '--once'];
    const { code, output } = await runCommand(process.execPath, command, { limitMs: LIMIT_MS, cwd: root, env });
    expect(code, output).toBe(0);
    const [, right, all] = /(\d+) of (\d+) right/.exec(output) ?? [];
    expect(right).toBe(all);
    expect(Number(all)).toBeGreaterThanOrEqual(16);
    expect(output).toContain('What was batched with what');
    const pid = Number(/Redis: .* pid (\d+)/.exec(output)?.[1]);
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  },
  LIMIT_MS,
);
