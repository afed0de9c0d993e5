import { choice, text, url } from './kinds.ts';
import type { SettingsTable } from './setting.ts';

export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';

/** Settings of every process. */
export interface SharedConfig {
  redisUrl: string;
  queuePrefix: string;
  logLevel: LogLevel;
}

export const sharedSettings: SettingsTable<SharedConfig> = {
  redisUrl: {
    ...url(['redis', 'rediss']),
    env: 'REDIS_URL',
    default: 'redis://127.0.0.1:6379',
    doc: 'Redis or Valkey server of the queues; `rediss://` for TLS. Credentials and database number go into the URL.',
  },
  queuePrefix: {
    ...text(/^[A-Za-z0-9._-]{1,64}$/, '1 to 64 letters, digits, dots, dashes or underscores'),
    env: 'QUEUE_PREFIX',
    default: 'shoal',
    doc: 'First part of every Redis key. Installations with different prefixes share a server without meeting.',
  },
  logLevel: {
    ...choice(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']),
    env: 'LOG_LEVEL',
    default: 'info',
    doc: 'Least severe level that is logged. Prompts and answers are logged at no level.',
  },
};
