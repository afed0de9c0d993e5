import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { apiConfig, apiTable, boardConfig, workerConfig } from './apps.ts';
import { ConfigError } from './config-error.ts';
import { describeConfig } from './load-config.ts';

let cwd = '';
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'shoal-config-'));
});
afterEach(() => rmSync(cwd, { recursive: true, force: true }));

function faultsOf(load: () => unknown): string[] {
  try {
    load();
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split('\n');
    throw error;
  }
  return [];
}

test('an empty environment gives settings that work on this machine', () => {
  const api = apiConfig({ env: {}, cwd });
  expect(api).toMatchObject({ redisUrl: 'redis://127.0.0.1:6379', host: '127.0.0.1', port: 3000, apiKeys: [] });
  expect(Object.isFrozen(api)).toBe(true);
  const worker = workerConfig({ env: {}, cwd });
  expect(worker).toMatchObject({ model: './models/minnow', modelName: 'minnow', maxBatchSize: 16 });
  expect(worker.kvCacheMb).toBeUndefined();
  expect(Object.isFrozen(worker)).toBe(true);
});

test('values are parsed; empty ones count as unset', () => {
  const config = workerConfig({ env: { MAX_BATCH_SIZE: '4', QUEUE_PREFIX: '', MODEL: 'org/model@v2' }, cwd });
  expect(config).toMatchObject({ maxBatchSize: 4, queuePrefix: 'shoal', modelName: 'model' });
});

test('every fault is reported at once, one line each', () => {
  const env = { PORT: '70000', MAX_PROMPT_BYTES: 'lots', LOG_LEVEL: 'loud', REDIS_URL: 'http://h', HOST: 'a b' };
  expect(faultsOf(() => apiConfig({ env, cwd }))).toEqual([
    'REDIS_URL=http://h: expected a URL that begins with redis:// or rediss://',
    'LOG_LEVEL=loud: expected one of fatal, error, warn, info, debug, trace, silent',
    'HOST=a b: expected an IP address or host name to listen on',
    'PORT=70000: expected an integer from 0 to 65535',
    'MAX_PROMPT_BYTES=lots: expected an integer from 1024 to 16777216',
  ]);
});

test.each(['1.5', '1e3', '0x10', ' 5', '5 ', '٥', '-1', '99999999999999999999', 'NaN'])(
  'PORT=%s is refused',
  (PORT) => {
    expect(faultsOf(() => apiConfig({ env: { PORT }, cwd }))).toHaveLength(1);
  },
);

test('secrets and credentials are masked in faults', () => {
  const env = { REDIS_URL: 'redis:/user:hunter2@host', API_KEYS: 'short', BOARD_PASSWORD: 'hunter2' };
  const lines = [...faultsOf(() => apiConfig({ env, cwd })), ...faultsOf(() => boardConfig({ env, cwd }))].join('\n');
  expect(lines).toContain('REDIS_URL=***@host: ');
  expect(lines).toContain('API_KEYS=***: ');
  expect(lines).toContain('BOARD_PASSWORD=***: ');
  expect(lines).not.toMatch(/hunter2|short/);
});

test('secrets and credentials are masked in the description', () => {
  const env = { REDIS_URL: 'rediss://user:hunter2@host:6380/1', API_KEYS: 'acme:hunter2hunter2' };
  const described = describeConfig(apiTable, apiConfig({ env, cwd }));
  expect(described).toMatchObject({ REDIS_URL: 'rediss://***@host:6380/1', API_KEYS: '***', PORT: '3000' });
  expect(JSON.stringify(described)).not.toContain('hunter2');
  expect(describeConfig(apiTable, apiConfig({ env: {}, cwd }))).toMatchObject({ API_KEYS: '(unset)' });
});

test('.env lies beneath the environment', () => {
  writeFileSync(join(cwd, '.env'), 'PORT=4000\nHOST=\nMAX_QUEUE_SIZE=7 # few\nCOMPOSE_PROFILES=gpu\nBOARD_PORT=5000\n');
  expect(apiConfig({ env: { PORT: '4001' }, cwd })).toMatchObject({
    port: 4001,
    host: '127.0.0.1',
    maxQueueSize: 7,
  });
});

test('an unknown name in .env is a fault, and its value is not shown', () => {
  writeFileSync(join(cwd, '.env'), 'MAX_BATCHSIZE=hunter2\nFLAVOUR=hunter2\n');
  expect(faultsOf(() => apiConfig({ env: {}, cwd }))).toEqual([
    'MAX_BATCHSIZE=***: unknown setting in .env, did you mean MAX_BATCH_SIZE?',
    'FLAVOUR=***: unknown setting in .env',
  ]);
});

test('a near miss in the environment is a fault; what others put there is not', () => {
  const env = { API_KEY: 'hunter2hunter2', max_batch_size: '4', HOME: '/', PATH: '/bin', POST: '1', NODE_ENV: 'test' };
  expect(faultsOf(() => apiConfig({ env, cwd }))).toEqual([
    'API_KEY=***: unknown setting, did you mean API_KEYS?',
    'max_batch_size=***: unknown setting, did you mean MAX_BATCH_SIZE?',
  ]);
});

test('a Redis Cluster cannot wait for replicas', () => {
  const env = { REDIS_URL: 'redis://h:1?cluster=true', DURABILITY: 'replicated' };
  expect(faultsOf(() => apiConfig({ env, cwd }))).toEqual([
    'DURABILITY=replicated: expected local, as REDIS_URL names a Redis Cluster',
  ]);
  expect(apiConfig({ env: { ...env, DURABILITY: 'local' }, cwd }).durability).toBe('local');
  expect(apiConfig({ env: { ...env, REDIS_URL: 'redis://h:1' }, cwd }).durability).toBe('replicated');
});

test('an API that others can reach needs keys', () => {
  expect(faultsOf(() => apiConfig({ env: { HOST: '0.0.0.0' }, cwd }))).toEqual([
    'HOST=0.0.0.0: expected a loopback address, or API_KEYS to be set',
  ]);
  expect(apiConfig({ env: { HOST: '0.0.0.0', API_KEYS: 'abcdefgh' }, cwd }).apiKeys).toHaveLength(1);
  for (const HOST of ['localhost', '::1', '127.0.0.2']) expect(apiConfig({ env: { HOST }, cwd }).host).toBe(HOST);
});

test('settings that contradict one another are a fault', () => {
  const env = { LOCK_DURATION_MS: '1000' };
  expect(faultsOf(() => workerConfig({ env, cwd }))).toEqual([
    'STALLED_INTERVAL_MS=2500: expected at most LOCK_DURATION_MS, which is 1000',
  ]);
});

test('the board needs a password', () => {
  expect(faultsOf(() => boardConfig({ env: {}, cwd }))).toEqual([
    'BOARD_PASSWORD=: expected a password of 8 to 256 characters',
  ]);
  expect(boardConfig({ env: { BOARD_PASSWORD: 'long enough', BOARD_READ_ONLY: '1' }, cwd }).boardReadOnly).toBe(true);
});
