import type { z } from 'zod';

/** A way to read one setting from text, and the words that say what it accepts. */
export interface Kind<T> {
  /** Parses the text of the environment variable. */
  readonly schema: z.ZodType<T, unknown>;
  /** What is accepted, as it reads in an error and in the documentation: `an integer from 1 to 65535`. */
  readonly expected: string;
}

/** One environment variable: everything that the loader, the error messages and the documentation need of it. */
export interface Setting<T> extends Kind<T> {
  /** Name of the environment variable. */
  readonly env: string;
  /** Value when the variable is unset or empty. */
  readonly default: T;
  /** The default in words, where the value alone does not tell (`undefined`, or derived from another setting). */
  readonly defaultText?: string;
  readonly unit?: 'ms' | 's' | 'bytes' | 'MiB' | 'tokens' | 'requests' | 'jobs' | 'threads';
  /** One or two sentences for whoever sets it. */
  readonly doc: string;
  /** True when the whole value must never be shown. Credentials inside URLs are masked in any case. */
  readonly secret?: boolean;
}

/** The settings behind a configuration object: one per property. */
export type SettingsTable<Config> = { readonly [Key in keyof Config]: Setting<Config[Key]> };

/** A table of settings of any shape, for code that only reads their descriptions. */
export type AnySettingsTable = Readonly<Record<string, Setting<unknown>>>;

/** The rows of a table by property name. */
export function settingsOf<Config>(table: SettingsTable<Config>): [key: string, setting: Setting<unknown>][] {
  return Object.entries(table as AnySettingsTable);
}
