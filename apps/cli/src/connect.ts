import { httpClient, type ShoalClient } from '@shoal/client';
import { redisClient } from '@shoal/client/redis';
import { maskCredentials } from '@shoal/config';
import { Option } from 'commander';
import { type Environment, UsageError } from './terminal.ts';

/** Options that say where the API is. */
export interface WhereApi {
  url: string;
  apiKey?: string;
  model?: string;
}

/** Options of most commands: where Shoal is, be it the API or the queue. */
export interface Where extends WhereApi {
  redis?: string;
  prefix: string;
}

export function apiOptions(env: Environment): Option[] {
  const url = env.SHOAL_URL ?? 'http://127.0.0.1:3000';
  return [
    new Option('--url <url>', 'the API [SHOAL_URL]').default(url, maskCredentials(url)),
    // Not as a default, which --help would show.
    new Option('--api-key <key>', 'key for the API [SHOAL_API_KEY]'),
    new Option('--model <name>', 'a served model [SHOAL_MODEL]; see `shoal queues`'),
  ];
}

export function whereOptions(env: Environment): Option[] {
  return [
    ...apiOptions(env),
    new Option('--redis <url>', 'use the queue itself, without the API; needs --model'),
    new Option('--prefix <prefix>', "the cluster's QUEUE_PREFIX, with --redis").default('shoal'),
  ];
}

/** The API's address. The value is not repeated: it may hold a password. */
export function apiUrl({ url }: Pick<WhereApi, 'url'>): string {
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return url;
  throw new UsageError('--url [SHOAL_URL] must be an http or https URL, as in http://127.0.0.1:3000');
}

export function connect(where: Where, env: Environment): ShoalClient {
  const model = where.model ?? env.SHOAL_MODEL;
  if (where.redis === undefined) {
    return httpClient({ url: apiUrl(where), apiKey: where.apiKey ?? env.SHOAL_API_KEY, model });
  }
  if (model === undefined) throw new UsageError('--redis needs --model: every model has a queue of its own');
  return redisClient({ redisUrl: where.redis, prefix: where.prefix, model });
}
