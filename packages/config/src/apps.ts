import { type ApiOnlyConfig, apiSettings, checkApi, checkDurability } from './api.ts';
import { type BatchingConfig, batchingSettings } from './batching.ts';
import { type BoardOnlyConfig, boardSettings } from './board.ts';
import type { Fault } from './config-error.ts';
import { type ConfigSource, readEnvironment } from './environment.ts';
import { type HubConfig, hubSettings } from './hub.ts';
import { type CrossCheck, loadConfig } from './load-config.ts';
import { type ModelConfig, modelSettings } from './model.ts';
import { defaultModelName } from './model-name.ts';
import { type QueueConfig, queueSettings } from './queue.ts';
import { type AnySettingsTable, type SettingsTable, settingsOf } from './setting.ts';
import { type SharedConfig, sharedSettings } from './shared.ts';
import { type TelemetryConfig, telemetrySettings } from './telemetry.ts';
import { type WebhookConfig, webhookSettings } from './webhooks.ts';
import { type WorkerOnlyConfig, workerSettings } from './worker.ts';

/** Everything the API reads. */
export interface ApiConfig extends SharedConfig, TelemetryConfig, QueueConfig, ApiOnlyConfig, WebhookConfig {}

/** Everything a worker reads; the model always has a name. */
export interface WorkerConfig
  extends SharedConfig,
    TelemetryConfig,
    Omit<ModelConfig, 'modelName'>,
    HubConfig,
    BatchingConfig,
    QueueConfig,
    WorkerOnlyConfig {
  modelName: string;
}

/** Everything the board reads. */
export interface BoardConfig extends SharedConfig, BoardOnlyConfig {}

export const apiTable: SettingsTable<ApiConfig> = {
  ...sharedSettings,
  ...telemetrySettings,
  ...queueSettings,
  ...apiSettings,
  ...webhookSettings,
};

const workerTableAsRead: SettingsTable<Omit<WorkerConfig, 'modelName'> & ModelConfig> = {
  ...sharedSettings,
  ...telemetrySettings,
  ...modelSettings,
  ...hubSettings,
  ...batchingSettings,
  ...queueSettings,
  ...workerSettings,
};
export const workerTable: AnySettingsTable = workerTableAsRead;

export const boardTable: SettingsTable<BoardConfig> = { ...sharedSettings, ...boardSettings };

/** The tables one by one, in the order of the documentation. */
export const SETTINGS_FILES: readonly { title: string; usedBy: string; table: AnySettingsTable }[] = [
  { title: 'Shared', usedBy: 'every process', table: sharedSettings },
  { title: 'Telemetry', usedBy: 'api, worker', table: telemetrySettings },
  { title: 'Model', usedBy: 'worker', table: modelSettings },
  { title: 'Hub', usedBy: 'worker, and `shoal model`', table: hubSettings },
  { title: 'Batching', usedBy: 'worker', table: batchingSettings },
  { title: 'Queue', usedBy: 'api, worker', table: queueSettings },
  { title: 'API', usedBy: 'api', table: apiSettings },
  { title: 'Webhooks', usedBy: 'api', table: webhookSettings },
  { title: 'Worker', usedBy: 'worker', table: workerSettings },
  { title: 'Board', usedBy: 'board', table: boardSettings },
];

/** Names of all settings of all processes: one `.env` serves them all. */
export const KNOWN_NAMES: ReadonlySet<string> = new Set(
  SETTINGS_FILES.flatMap(({ table }) => settingsOf(table).map(([, setting]) => setting.env)),
);

/** Reads the API's settings. Throws a `ConfigError` that names every fault. */
export function apiConfig(source: ConfigSource = {}): Readonly<ApiConfig> {
  return load(apiTable, source, (config) => [...checkQueue(config), ...checkDurability(config), ...checkApi(config)]);
}

/** Reads a worker's settings. Throws a `ConfigError` that names every fault. */
export function workerConfig(source: ConfigSource = {}): Readonly<WorkerConfig> {
  const config = load(workerTableAsRead, source, checkQueue);
  return Object.freeze({ ...config, modelName: config.modelName ?? defaultModelName(config.model) });
}

/** Reads the board's settings. Throws a `ConfigError` that names every fault. */
export function boardConfig(source: ConfigSource = {}): Readonly<BoardConfig> {
  return load(boardTable, source, checkBoard);
}

function load<Config>(
  table: SettingsTable<Config>,
  source: ConfigSource,
  crossCheck: CrossCheck<Config>,
): Readonly<Config> {
  return loadConfig(table, readEnvironment(source, KNOWN_NAMES), crossCheck);
}

function checkQueue(config: QueueConfig): Fault[] {
  if (config.stalledIntervalMs <= config.lockDurationMs) return [];
  const problem = `expected at most LOCK_DURATION_MS, which is ${config.lockDurationMs}`;
  return [{ name: 'STALLED_INTERVAL_MS', value: String(config.stalledIntervalMs), problem }];
}

function checkBoard(config: BoardOnlyConfig): Fault[] {
  if (config.boardPassword !== '') return [];
  return [{ name: 'BOARD_PASSWORD', value: '', problem: 'expected a password of 8 to 256 characters' }];
}
