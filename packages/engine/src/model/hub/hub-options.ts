import { homedir } from 'node:os';
import { join } from 'node:path';
import { ShoalError } from '@shoal/protocol';

/** Where models come from and where they are kept. */
export interface HubOptions {
  /** Default `https://huggingface.co`. */
  endpoint?: string | undefined;
  /** For private and gated models. */
  token?: string | undefined;
  /** Default `~/.cache/huggingface/hub`, which Hugging Face's own tools share. */
  cacheDirectory?: string | undefined;
  /** Use what is in the cache, and no network. */
  offline?: boolean | undefined;
}

/** {@link HubOptions} with every default in place. */
export interface Hub {
  endpoint: string;
  token: string | undefined;
  cacheDirectory: string;
  offline: boolean;
}

export function resolveHub({ endpoint, token, cacheDirectory, offline }: HubOptions): Hub {
  return {
    endpoint: (endpoint ?? 'https://huggingface.co').replace(/\/+$/, ''),
    token,
    cacheDirectory: cacheDirectory ?? join(home(), '.cache', 'huggingface', 'hub'),
    offline: offline ?? false,
  };
}

/** Some containers run as a user that has none. */
function home(): string {
  try {
    return homedir();
  } catch (cause) {
    throw new ShoalError('invalid_request_error', 'this user has no home directory for downloads: set HF_HOME', {
      cause,
    });
  }
}
