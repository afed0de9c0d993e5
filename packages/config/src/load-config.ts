import { ConfigError, type Fault } from './config-error.ts';
import type { Environment } from './environment.ts';
import { maskValue } from './mask.ts';
import { type AnySettingsTable, type Setting, type SettingsTable, settingsOf } from './setting.ts';

/** Faults that only show when several settings are seen together. */
export type CrossCheck<Config> = (config: Config) => Fault[];

/**
 * Reads every setting of the table, and returns them frozen. Throws a {@link ConfigError} that names every fault at
 * once; the cross check runs only when each setting is fine by itself.
 */
export function loadConfig<Config>(
  table: SettingsTable<Config>,
  environment: Environment,
  crossCheck: CrossCheck<Config> = () => [],
): Readonly<Config> {
  const faults: Fault[] = [...environment.faults];
  const config: Record<string, unknown> = {};

  for (const [key, setting] of settingsOf(table)) {
    const value = environment.values.get(setting.env);
    if (value === undefined) {
      config[key] = setting.default;
      continue;
    }
    const parsed = setting.schema.safeParse(value);
    if (parsed.success) config[key] = parsed.data;
    else faults.push({ name: setting.env, value: maskValue(setting, value), problem: `expected ${setting.expected}` });
  }
  if (faults.length === 0) faults.push(...crossCheck(config as Config));
  if (faults.length > 0) throw new ConfigError(faults);
  return Object.freeze(config as Config);
}

/** The effective settings by environment name, secrets masked: what a process logs when it starts. */
export function describeConfig(table: AnySettingsTable, config: object): Record<string, string> {
  const values = config as Readonly<Record<string, unknown>>;
  return Object.fromEntries(settingsOf(table).map(([key, setting]) => [setting.env, describe(setting, values[key])]));
}

function describe(setting: Setting<unknown>, value: unknown): string {
  const unset = value === undefined || value === '' || (Array.isArray(value) && value.length === 0);
  return unset ? '(unset)' : maskValue(setting, String(value));
}
