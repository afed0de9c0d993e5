import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KNOWN_NAMES } from '@shoal/config';
import { validate } from 'dockerfile-utils';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const dockerfile = readFileSync(join(root, 'infra/docker/Dockerfile'), 'utf8');
const FINAL = ['api', 'board', 'worker', 'worker-gpu'];
/** Not ours: read by Node, by pnpm, by turbo. */
const FOREIGN_ENV = ['NODE_ENV', 'CI', 'TURBO_TELEMETRY_DISABLED'];

interface Stage {
  name: string;
  from: string;
  /** Instructions, continued lines joined. */
  lines: string[];
}

describe('infra/docker/Dockerfile', () => {
  const stages = readStages(dockerfile);

  it('passes the linter', () => {
    expect(validate(dockerfile).map((fault) => `line ${fault.range.start.line + 1}: ${fault.message}`)).toEqual([]);
  });

  it('has a stage for each image, and no stage that nothing uses', () => {
    const names = stages.map((stage) => stage.name);
    expect(names).toEqual(expect.arrayContaining(FINAL));
    const used = (name: string) => new RegExp(`(FROM|--from=)\\s*${name}\\b`).test(dockerfile);
    expect(names.filter((name) => !FINAL.includes(name) && !used(name))).toEqual([]);
  });

  it('copies only what exists', () => {
    const missing = stages.flatMap(({ lines }) =>
      lines.flatMap((line) => {
        const [instruction, ...words] = line.split(/\s+/);
        const from = words.find((word) => word.startsWith('--from='))?.slice('--from='.length);
        if (instruction !== 'COPY') return [];
        if (from !== undefined) return stages.some((stage) => stage.name === from) ? [] : [line];
        const sources = words.filter((word) => !word.startsWith('--')).slice(0, -1);
        expect(sources.length, line).toBeGreaterThan(0);
        return sources.filter((source) => !existsSync(join(root, source)) || isIgnored(source));
      }),
    );
    expect(missing).toEqual([]);
  });

  it('deploys apps that exist, with a dist folder in their package', () => {
    const apps = [...dockerfile.matchAll(/--filter @shoal\/(\w+) deploy --prod/g)].map((match) => match[1] ?? '');
    expect(apps.sort()).toEqual(['api', 'board', 'worker']);
    for (const app of apps) {
      const manifest = JSON.parse(readFileSync(join(root, 'apps', app, 'package.json'), 'utf8')) as { files: string[] };
      expect(manifest.files, app).toContain('dist');
    }
  });

  it.each(FINAL)('%s runs as an ordinary user, with a health check, and knows its settings', (name) => {
    const lines = inherited(stages, name);
    const user = lines.filter((line) => line.startsWith('USER ')).at(-1);
    expect(user).toMatch(/^USER (node|[1-9]\d*:[1-9]\d*)$/);
    expect(lines.filter((line) => line.startsWith('HEALTHCHECK ')).at(-1)).toContain('/healthcheck.mjs');
    expect(lines.filter((line) => line.startsWith('CMD ')).at(-1)).toContain('dist/main.js');
    const settings = lines
      .filter((line) => line.startsWith('ENV '))
      .flatMap((line) => [...line.matchAll(/(\w+)=/g)].map((match) => match[1] ?? ''));
    expect(settings.filter((setting) => !KNOWN_NAMES.has(setting) && !FOREIGN_ENV.includes(setting))).toEqual([]);
  });

  it('pins every base image to a version', () => {
    const bases = stages.map((stage) => stage.from).filter((from) => !stages.some((stage) => stage.name === from));
    expect(bases.length).toBeGreaterThan(0);
    expect(bases.filter((base) => !/:\d+\.\d+\.\d+/.test(base))).toEqual([]);
  });
});

function readStages(text: string): Stage[] {
  const stages: Stage[] = [];
  const joined = text.replace(/^\s*#.*\n/gm, '').replace(/\\\n\s*/g, ' ');
  for (const line of joined.split('\n').map((candidate) => candidate.trim())) {
    const from = /^FROM (\S+) AS (\S+)$/.exec(line);
    if (from) stages.push({ from: from[1] ?? '', name: from[2] ?? '', lines: [] });
    else if (line) stages.at(-1)?.lines.push(line);
  }
  return stages;
}

/** The instructions of a stage after those of the stages that it builds on. */
function inherited(stages: Stage[], name: string): string[] {
  const stage = stages.find((candidate) => candidate.name === name);
  return stage ? [...inherited(stages, stage.from), ...stage.lines] : [];
}

/** Whether .dockerignore names the path itself or a folder above it. */
function isIgnored(source: string): boolean {
  const patterns = readFileSync(join(root, '.dockerignore'), 'utf8')
    .split('\n')
    .filter((line) => line && !line.startsWith('#'));
  const parts = source.split('/').map((_, i, all) => all.slice(0, i + 1).join('/'));
  return patterns.some((pattern) => parts.includes(pattern));
}
