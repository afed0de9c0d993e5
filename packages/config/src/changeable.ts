import { batchingSettings } from './batching.ts';
import type { Fault } from './config-error.ts';
import { maskValue } from './mask.ts';
import { queueSettings } from './queue.ts';
import { type Setting, settingsOf } from './setting.ts';
import { type LogLevel, sharedSettings } from './shared.ts';

/** Settings of one model that can be changed while its processes run; what is absent is as they were started. */
export interface ChangeableSettings {
  maxBatchSize?: number;
  maxQueueDelayMs?: number;
  maxBatchTokens?: number;
  maxQueueSize?: number;
  maxQueueWaitMs?: number;
  logLevel?: LogLevel;
}

const { maxBatchSize, maxQueueDelayMs, maxBatchTokens } = batchingSettings;
const { maxQueueSize, maxQueueWaitMs } = queueSettings;
const { logLevel } = sharedSettings;
const table = { maxBatchSize, maxQueueDelayMs, maxBatchTokens, maxQueueSize, maxQueueWaitMs, logLevel };

/** Their environment names. */
export const changeableNames: readonly string[] = settingsOf(table).map(([, { env }]) => env);

/** What is wrong with a change; `undefined` when nothing is. */
export function faultOf(name: string, value: string): Fault | undefined {
  const setting = settingNamed(name);
  if (setting === undefined) {
    const problem = `cannot be changed while processes run; these can: ${changeableNames.join(', ')}`;
    return { name, value, problem };
  }
  if (setting.schema.safeParse(value).success) return undefined;
  return { name, value: maskValue(setting, value), problem: `expected ${setting.expected}` };
}

/** Changes by environment name, read as the environment is. A fault takes nothing but itself out. */
export function readChangeable(changes: Readonly<Record<string, string>>): {
  settings: ChangeableSettings;
  faults: Fault[];
} {
  const given = Object.entries(changes);
  const faults = given.flatMap(([name, value]) => faultOf(name, value) ?? []);
  const settings = settingsOf(table).flatMap(([key, setting]) => {
    const value = changes[setting.env];
    const parsed = value === undefined ? undefined : setting.schema.safeParse(value);
    return parsed?.success ? [[key, parsed.data]] : [];
  });
  return { settings: Object.fromEntries(settings), faults };
}

function settingNamed(name: string): Setting<unknown> | undefined {
  return settingsOf(table).find(([, { env }]) => env === name)?.[1];
}
