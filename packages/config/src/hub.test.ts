import { expect, test } from 'vitest';
import { workerConfig, workerTable } from './apps.ts';
import { hubAccess, hubConfig } from './hub.ts';
import { describeConfig } from './load-config.ts';

const access = (env: Record<string, string>) => hubAccess(hubConfig(env));

test('nothing set is the public hub, and the cache is left to the place of the download', () => {
  expect(access({})).toEqual({
    endpoint: 'https://huggingface.co',
    token: undefined,
    cacheDirectory: undefined,
    offline: false,
  });
});

test.each([
  [{ HF_HOME: '/models' }, '/models/hub'],
  [{ HF_HOME: '/models', HF_HUB_CACHE: '/cache' }, '/cache'],
])('%j keeps models in %s', (env, directory) => {
  expect(access(env).cacheDirectory).toBe(directory);
});

test.each([
  ['1', true],
  ['YES', true],
  ['On', true],
  ['0', false],
  ['false', false],
])('HF_HUB_OFFLINE=%s is %s', (word, offline) => {
  expect(access({ HF_HUB_OFFLINE: word }).offline).toBe(offline);
});

test('a fault names its setting, and never the token', () => {
  expect(() => hubConfig({ HF_ENDPOINT: 'ftp://hub', HF_TOKEN: 'two words' })).toThrow(/HF_ENDPOINT.*\n.*HF_TOKEN/);
  expect(() => hubConfig({ HF_TOKEN: 'two words' })).not.toThrow(/two words/);
});

test('a worker reads them, and does not show the token', () => {
  const config = workerConfig({ env: { HF_TOKEN: 'hf_secret', HF_HUB_OFFLINE: 'ON' }, cwd: '/nowhere' });
  expect(hubAccess(config)).toMatchObject({ token: 'hf_secret', offline: true });
  expect(JSON.stringify(describeConfig(workerTable, config))).not.toContain('hf_secret');
});
