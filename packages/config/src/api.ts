import { type ApiKey, apiKeys } from './api-key.ts';
import type { Fault } from './config-error.ts';
import { flag, integer, text, url } from './kinds.ts';
import { isLoopback } from './loopback.ts';
import type { SettingsTable } from './setting.ts';

/** Settings of the HTTP API alone. */
export interface ApiOnlyConfig {
  host: string;
  port: number;
  apiKeys: readonly ApiKey[];
  tenantMaxInFlight: number;
  tenantTokensPerMinute: number;
  reuseAnswers: boolean;
  maxPromptBytes: number;
  requestTimeoutMs: number;
  shutdownTimeoutMs: number;
  boardUrl: string;
}

export const apiSettings: SettingsTable<ApiOnlyConfig> = {
  host: {
    ...text(/^[A-Za-z0-9.:-]{1,253}$/, 'an IP address or host name to listen on'),
    env: 'HOST',
    default: '127.0.0.1',
    doc: 'Address that the API listens on. Any but a loopback address needs `API_KEYS`.',
  },
  port: {
    ...integer(0, 65_535),
    env: 'PORT',
    default: 3000,
    doc: 'Port that the API listens on; 0 takes a free one.',
  },
  apiKeys: {
    ...apiKeys(),
    env: 'API_KEYS',
    default: Object.freeze([]),
    defaultText: 'none: no key is asked for, and only this machine can connect',
    secret: true,
    doc: 'Keys that may call the API: `key`, `tenant:key`, `tenant*weight:key`, or with `sha256:` and the hash in place of the key. Separated by commas. A tenant may have `weight` times (1 … 1000, the highest of its keys) what `TENANT_MAX_IN_FLIGHT` and `TENANT_TOKENS_PER_MINUTE` allow.',
  },
  tenantMaxInFlight: {
    ...integer(0, 1_000_000),
    env: 'TENANT_MAX_IN_FLIGHT',
    default: 0,
    unit: 'requests',
    doc: 'Requests of one tenant whose callers wait at the same time, over all API processes; beyond it 429 `rate_limit_exceeded`. 0: any number.',
  },
  tenantTokensPerMinute: {
    ...integer(0, 1_000_000_000),
    env: 'TENANT_TOKENS_PER_MINUTE',
    default: 0,
    unit: 'tokens',
    doc: 'Tokens of prompts and answers that one tenant may use in a minute, over all API processes; beyond it 429 `rate_limit_exceeded`. A request that breaks off counts its prompt and what had come of the answer. Jobs count when they are submitted, by what they may use: the prompt (estimated from its length), and for each answer `max_tokens`, or the rest of the context. 0: any number.',
  },
  reuseAnswers: {
    ...flag(),
    env: 'REUSE_ANSWERS',
    default: true,
    doc: 'Equal requests of one tenant whose answer is determined (greedy, or with a seed) share one generation, or the result that it left within `RESULT_TTL_S`. A request with `cache-control: no-store` is always generated.',
  },
  maxPromptBytes: {
    ...integer(1024, 16_777_216),
    env: 'MAX_PROMPT_BYTES',
    default: 262_144,
    unit: 'bytes',
    doc: 'Largest prompt of a request, all its messages together, in UTF-8; beyond it the API answers 413 `payload_too_large`.',
  },
  requestTimeoutMs: {
    ...integer(1000, 86_400_000),
    env: 'REQUEST_TIMEOUT_MS',
    default: 300_000,
    unit: 'ms',
    doc: 'Deadline of a request that somebody waits for and that names no `timeout_ms`, counted from its acceptance. A job has `MAX_QUEUE_WAIT_MS`.',
  },
  shutdownTimeoutMs: {
    ...integer(0, 600_000),
    env: 'SHUTDOWN_TIMEOUT_MS',
    default: 10_000,
    unit: 'ms',
    doc: 'How long requests in flight may go on after SIGTERM; then their connections end with an error.',
  },
  boardUrl: {
    ...url(['http', 'https']),
    env: 'BOARD_URL',
    default: '',
    defaultText: 'none: no link',
    doc: 'Where people find the board: the playground links to it.',
  },
};

/** WAIT asks the replicas of one node: a Cluster client would send it to any of them. */
export function checkDurability({ durability, redisUrl }: { durability: string; redisUrl: string }): Fault[] {
  const isCluster = URL.canParse(redisUrl) && new URL(redisUrl).searchParams.get('cluster') === 'true';
  if (durability !== 'replicated' || !isCluster) return [];
  return [{ name: 'DURABILITY', value: durability, problem: 'expected local, as REDIS_URL names a Redis Cluster' }];
}

/** An open door must have a lock. */
export function checkApi(config: Pick<ApiOnlyConfig, 'host' | 'apiKeys'>): Fault[] {
  if (isLoopback(config.host) || config.apiKeys.length > 0) return [];
  return [{ name: 'HOST', value: config.host, problem: 'expected a loopback address, or API_KEYS to be set' }];
}
