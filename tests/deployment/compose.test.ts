import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type AnySettingsTable, apiTable, boardTable, KNOWN_NAMES, workerTable } from '@shoal/config';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { findDockerCompose } from '../../scripts/deployment-tools.mjs';
import { runCommand } from '../../scripts/system/bounded.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const FETCH_LIMIT_MS = 240_000;
const SECRETS = { API_KEYS: 'tenant:not-a-real-key', BOARD_PASSWORD: 'not-a-real-password' };

const TABLES: Record<string, AnySettingsTable> = {
  api: apiTable,
  worker: workerTable,
  'worker-gpu': workerTable,
  board: boardTable,
};
/** What the images and the file itself settle: where a process listens, and how long it may take to end. */
const OF_THE_CONTAINER = /^(PORT|METRICS_PORT|METRICS_HOST|BOARD_HOST|BOARD_PORT|SHUTDOWN_TIMEOUT_MS)$/;
/** Workers have no way out of their network. */
const OF_THE_HUB = /^HF_/;

interface Service {
  image?: string;
  build?: { context: string; dockerfile: string; target: string };
  command?: string[];
  environment?: Record<string, string>;
  profiles?: string[];
  ports?: { target: number; host_ip?: string }[];
  user?: string;
  read_only?: boolean;
  cap_drop?: string[];
  mem_limit?: string;
  healthcheck?: { test: string[] };
  volumes?: { source: string; target: string; read_only?: boolean }[];
  networks?: Record<string, unknown>;
}

interface Compose {
  services: Record<string, Service>;
  networks: Record<string, { internal?: boolean }>;
}

describe('docker-compose.yml', () => {
  let compose: string[] | undefined;
  let resolved: Compose | undefined;

  beforeAll(async () => {
    compose = await findDockerCompose();
    if (!compose) return console.warn('no docker compose can be had here: its own opinion of the file is left out');
    const { code, output } = await config(compose, SECRETS);
    expect(code, output).toBe(0);
    resolved = JSON.parse(output) as Compose;
  }, FETCH_LIMIT_MS);

  it('is accepted by docker compose', ({ skip }) => {
    if (!resolved) return skip();
    const byProfile = (profile: string | undefined) =>
      Object.entries(resolved?.services ?? {})
        .filter(([, service]) => service.profiles?.[0] === profile)
        .map(([name]) => name)
        .sort();
    expect(byProfile(undefined)).toEqual(['api', 'board', 'redis']);
    expect(byProfile('cpu')).toEqual(['worker']);
    expect(byProfile('gpu')).toEqual(['worker-gpu']);
    expect(byProfile('observability')).toEqual(['grafana', 'prometheus']);
  });

  it.for(Object.keys(SECRETS))('is refused without %s, in words that help', async (missing, { skip }) => {
    if (!compose) return skip();
    const { code, output } = await config(compose, { ...SECRETS, [missing]: '' });
    expect(code).not.toBe(0);
    expect(output).toContain(`set ${missing} in .env`);
  });

  it('gives the processes settings that they know', () => {
    for (const [name, { build, environment = {} }] of Object.entries(services())) {
      if (!build) continue;
      const unknown = Object.keys(environment).filter((setting) => !KNOWN_NAMES.has(setting));
      expect(unknown, name).toEqual([]);
    }
  });

  it('passes on every setting that .env may have for a process', () => {
    const all = services();
    for (const [name, table] of Object.entries(TABLES)) {
      const passed = Object.keys(all[name]?.environment ?? {});
      const read = Object.values(table).map(({ env }) => env);
      const settled = (env: string) => OF_THE_CONTAINER.test(env) || OF_THE_HUB.test(env);
      expect(
        read.filter((env) => !settled(env) && !passed.includes(env)),
        name,
      ).toEqual([]);
    }
  });

  it('asks .env for nothing but settings: the processes refuse other names there', () => {
    const names = [...text().matchAll(/\$\{(\w+)/g)].map((match) => match[1] ?? '');
    expect(names.length).toBeGreaterThan(0);
    expect(names.filter((name) => !KNOWN_NAMES.has(name))).toEqual([]);
    const example = readFileSync(join(root, '.env.example'), 'utf8');
    const offered = [...example.matchAll(/^(?:# )?([A-Z_]+)=/gm)].map((match) => match[1] ?? '');
    expect(offered).toEqual(expect.arrayContaining(Object.keys(SECRETS)));
    expect(offered.filter((name) => !KNOWN_NAMES.has(name))).toEqual(['COMPOSE_PROFILES']);
  });

  it('builds what is there', () => {
    const dockerfile = readFileSync(join(root, 'infra/docker/Dockerfile'), 'utf8');
    for (const [name, { build }] of Object.entries(services())) {
      if (!build) continue;
      expect(existsSync(join(root, build.context, build.dockerfile)), name).toBe(true);
      expect(dockerfile, name).toMatch(new RegExp(`^FROM \\S+ AS ${build.target}$`, 'm'));
    }
  });

  it('loses nothing that was accepted: append-only file, no eviction, a volume', () => {
    const redis = services().redis;
    expect(redis?.command?.join(' ')).toContain('--appendonly yes');
    expect(redis?.command?.join(' ')).toContain('--maxmemory-policy noeviction');
    expect(redis?.volumes).toEqual(['redis-data:/data']);
    expect(redis?.healthcheck?.test).toContain('ping');
  });

  it('runs everything with as few rights as it needs', ({ skip }) => {
    if (!resolved) return skip();
    for (const [name, service] of Object.entries(resolved.services)) {
      expect(service.read_only, name).toBe(true);
      expect(service.cap_drop, name).toEqual(['ALL']);
      // How much a worker needs is for its model to say.
      if (!name.startsWith('worker')) expect(Number(service.mem_limit), name).toBeGreaterThan(0);
    }
    expect(resolved.services.redis?.user).toBe('redis');
  });

  it('opens the API, and the rest on this machine only', ({ skip }) => {
    if (!resolved) return skip();
    const open = Object.entries(resolved.services).flatMap(([name, { ports = [] }]) =>
      ports.map((port) => `${name} ${port.host_ip ?? 'any'} ${port.target}`),
    );
    expect(open.sort()).toEqual([
      'api any 3000',
      'board 127.0.0.1 3001',
      'grafana 127.0.0.1 3000',
      'prometheus 127.0.0.1 9090',
    ]);
    expect(resolved.networks.queue?.internal).toBe(true);
    expect(Object.keys(resolved.services.redis?.networks ?? {})).toEqual(['queue']);
  });
});

function text(): string {
  return readFileSync(join(root, 'docker-compose.yml'), 'utf8');
}

/** The file as it stands, anchors merged. */
function services(): Record<string, Service> {
  return (parse(text(), { merge: true }) as Compose).services;
}

async function config(compose: string[], secrets: Record<string, string>) {
  const [program = '', ...args] = compose;
  // Neither this machine's settings nor a .env of the developer's.
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, ...secrets };
  const options = ['--env-file', '/dev/null', '--profile', '*', 'config', '--format', 'json'];
  return runCommand(program, [...args, '-f', join(root, 'docker-compose.yml'), ...options], {
    limitMs: 30_000,
    cwd: root,
    env,
  });
}
