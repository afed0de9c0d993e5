import type { Readable } from 'node:stream';

/** What a command reads and writes; tests pass their own. */
export interface Terminal {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Environment;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** Unix time in milliseconds. */
  readonly clock: () => number;
}

/** The variables that are read; options go before them. */
export interface Environment {
  /** The API's address. */
  readonly SHOAL_URL?: string | undefined;
  readonly SHOAL_API_KEY?: string | undefined;
  readonly SHOAL_MODEL?: string | undefined;
  /** For commands that use the queue itself. */
  readonly REDIS_URL?: string | undefined;
  readonly QUEUE_PREFIX?: string | undefined;
  /** The hub and its cache, for `shoal model`; docs/configuration.md has them. */
  readonly HF_ENDPOINT?: string | undefined;
  readonly HF_TOKEN?: string | undefined;
  readonly HF_HOME?: string | undefined;
  readonly HF_HUB_CACHE?: string | undefined;
  readonly HF_HUB_OFFLINE?: string | undefined;
}

export interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** Process exit codes. */
export const EXIT = {
  ok: 0,
  /** A request failed, or the service did not answer. */
  failed: 1,
  /** The command line, or an input, is not what it must be. */
  usage: 2,
} as const;

/** Something in the command line or an input is wrong: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
