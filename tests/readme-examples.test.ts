import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { runCommand } from '../scripts/system/bounded.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const root = join(here, '..');
// Inside tests/, so that the workspace's packages resolve, and where git does not look.
const folder = join(here, 'node_modules', '.cache', 'readme-examples');
const COMPILE_LIMIT_MS = 60_000;
const RUN_LIMIT_MS = 30_000;

const examples = readdirSync(join(root, 'packages')).map((name) => {
  const file = join(root, 'packages', name, 'README.md');
  const readme = existsSync(file) ? readFileSync(file, 'utf8') : '';
  return { name, code: /^```ts\n([\s\S]*?)^```/m.exec(readme)?.[1] };
});

describe('the example in every package README', () => {
  let compiled = { code: 1 as number | null, output: '' };

  beforeAll(async () => {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    for (const { name, code } of examples) writeFileSync(join(folder, `${name}.mts`), code ?? '');
    const config = {
      extends: join(root, 'tsconfig.base.json'),
      compilerOptions: OPTIONS,
      include: ['*.mts'],
      exclude: [],
    };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
    const tsc = join(root, 'node_modules', '.bin', 'tsc');
    compiled = await runCommand(tsc, ['-p', folder, '--pretty', 'false'], { limitMs: COMPILE_LIMIT_MS, cwd: here });
  }, COMPILE_LIMIT_MS);

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('exists', () => {
    expect(examples.filter(({ code }) => !code?.trim()).map(({ name }) => name)).toEqual([]);
  });

  it.each(examples.map(({ name }) => name))('%s: compiles and runs to its end', async (name) => {
    const faults = compiled.output.split('\n').filter((line) => basename(line.split('(')[0] ?? '') === `${name}.mts`);
    expect(faults).toEqual([]);
    const { code, output } = await runCommand(process.execPath, [join(folder, 'out', `${name}.mjs`)], {
      limitMs: RUN_LIMIT_MS,
      cwd: root,
      env: { ...process.env, REDIS_URL: inject('redisUrl') },
    });
    expect(code, output).toBe(0);
    expect(output.trim(), 'an example shows something').not.toBe('');
  });
});

const OPTIONS = {
  outDir: 'out',
  rootDir: '.',
  types: ['node'],
  typeRoots: [join(root, 'node_modules', '@types')],
  // An example is a script, not a library.
  composite: false,
  declaration: false,
  declarationMap: false,
  sourceMap: false,
  isolatedDeclarations: false,
  noUnusedLocals: false,
  incremental: false,
};
