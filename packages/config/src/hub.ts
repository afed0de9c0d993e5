import { join } from 'node:path';
import { z } from 'zod';
import { optional, text, url } from './kinds.ts';
import { loadConfig } from './load-config.ts';
import type { Kind, SettingsTable } from './setting.ts';

/** Where models with a hub id come from and are kept; the names are those of Hugging Face's own tools. */
export interface HubConfig {
  hfEndpoint: string;
  hfToken: string | undefined;
  hfHome: string | undefined;
  hfHubCache: string | undefined;
  hfHubOffline: boolean;
}

const PATH = text(/^\P{Cc}{1,1024}$/u, 'a directory');

export const hubSettings: SettingsTable<HubConfig> = {
  hfEndpoint: {
    ...url(['https', 'http']),
    env: 'HF_ENDPOINT',
    default: 'https://huggingface.co',
    doc: 'The hub, or a mirror of it, that models with a hub id come from.',
  },
  hfToken: {
    ...optional(text(/^[\x21-\x7e]{1,512}$/, 'an access token')),
    env: 'HF_TOKEN',
    default: undefined,
    defaultText: 'none: public models only',
    secret: true,
    doc: 'Access token for private and gated models.',
  },
  hfHome: {
    ...optional(PATH),
    env: 'HF_HOME',
    default: undefined,
    defaultText: '`~/.cache/huggingface`',
    doc: 'Where downloads are kept, in the layout that Hugging Face’s tools share; each model needs room for its files.',
  },
  hfHubCache: {
    ...optional(PATH),
    env: 'HF_HUB_CACHE',
    default: undefined,
    defaultText: '`hub` below `HF_HOME`',
    doc: 'The cache of models itself, where it does not lie below `HF_HOME`.',
  },
  hfHubOffline: {
    ...lenientFlag(),
    env: 'HF_HUB_OFFLINE',
    default: false,
    doc: 'Ask nothing of the hub: use what is in the cache, or refuse to start.',
  },
};

/** Written for other tools too, which accept more words than our own settings do. */
function lenientFlag(): Kind<boolean> {
  const truthy = ['1', 'true', 'yes', 'on'];
  return {
    schema: z
      .string()
      .toLowerCase()
      .refine((word) => [...truthy, '0', 'false', 'no', 'off'].includes(word))
      .transform((word) => truthy.includes(word)),
    expected: 'true or false',
  };
}

/** The settings in the words of `@shoal/engine`. */
export interface HubAccess {
  endpoint: string;
  token: string | undefined;
  /** `undefined`: below the user's home, which need not exist for models that lie in a directory. */
  cacheDirectory: string | undefined;
  offline: boolean;
}

export function hubAccess({ hfEndpoint, hfToken, hfHome, hfHubCache, hfHubOffline }: HubConfig): HubAccess {
  return {
    endpoint: hfEndpoint,
    token: hfToken,
    cacheDirectory: hfHubCache ?? (hfHome === undefined ? undefined : join(hfHome, 'hub')),
    offline: hfHubOffline,
  };
}

/**
 * Reads these settings alone from an environment, for tools that are no process of the service: no `.env`, and no
 * look at other names. Throws a `ConfigError` that names every fault.
 */
export function hubConfig(env: Readonly<Record<string, string | undefined>>): Readonly<HubConfig> {
  const given = Object.entries(env).filter((entry): entry is [string, string] => Boolean(entry[1]));
  return loadConfig(hubSettings, { values: new Map(given), faults: [] });
}
