import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { MODEL_DIRECTORY } from './engine-requests.ts';

const PROGRAM = `
  (async () => {
    const { EngineThread } = await import('@shoal/engine');
    const engine = await EngineThread.start({ modelDirectory: process.argv[1] });
    const params = { temperature: 0, topP: 1, topK: 0, stop: [] };
    for await (const event of engine.generate({ id: 'one', prompt: '1 + 1 =', params })) {
      if (event.type === 'finished') console.log(event.text);
    }
    await engine.close();
  })();
`;

it('an engine leaves nothing in the home of its user: the runtime keeps no usage database', () => {
  const home = mkdtempSync(join(tmpdir(), 'shoal-home-'));
  const { PATH = '' } = process.env;
  const env = { PATH, HOME: home, XDG_CACHE_HOME: join(home, 'cache') };
  const cwd = new URL('..', import.meta.url);
  const run = spawnSync(process.execPath, ['-e', PROGRAM, MODEL_DIRECTORY], {
    cwd,
    env,
    encoding: 'utf8',
    timeout: 20_000,
  });
  expect(run.stderr).toBe('');
  expect(run.stdout.trim()).toBe('2');
  expect(readdirSync(home, { recursive: true })).toEqual([]);
  rmSync(home, { recursive: true, force: true });
});
