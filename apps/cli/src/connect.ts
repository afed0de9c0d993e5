import { type ApiAddress, apiAddress, httpClient, type ShoalClient, ShoalError } from '@shoal/client';
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
    new Option('--prefix <prefix>', "the cluster's prefix, with --redis [QUEUE_PREFIX]").default(
      env.QUEUE_PREFIX ?? 'shoal',
    ),
  ];
}

/** The API's address, for who asks it without a client. */
export function apiAddressOf({ url, apiKey }: WhereApi, env: Environment): ApiAddress {
  return withUrl(() => apiAddress({ url, apiKey: apiKey ?? env.SHOAL_API_KEY }));
}

export function connect(where: Where, env: Environment): ShoalClient {
  const model = where.model ?? env.SHOAL_MODEL;
  if (where.redis === undefined) {
    const { url, apiKey = env.SHOAL_API_KEY } = where;
    return withUrl(() => httpClient({ url, apiKey, model }));
  }
  if (model === undefined) throw new UsageError('--redis needs --model: every model has a queue of its own');
  return redisClient({ redisUrl: where.redis, prefix: where.prefix, model });
}

/** A URL that cannot be used is a mistake of the command line. Its value is not repeated: it may hold a password. */
function withUrl<T>(use: () => T): T {
  try {
    return use();
  } catch (error) {
    if (!(error instanceof ShoalError) || error.param !== 'url') throw error;
    throw new UsageError(error.message.replace(/^url:/, '--url [SHOAL_URL]'));
  }
}
