import { killApi } from './api.ts';
import { overload } from './overload.ts';
import { poison } from './poison.ts';
import { freezeRedis, fullRedis, restartRedis } from './redis.ts';
import { sameRequest } from './same-request.ts';
import type { Scenario } from './scenario.ts';
import { drainWorker, hangEngine, killWorker, pauseWorker } from './workers.ts';

export const SCENARIOS: readonly Scenario[] = [
  killWorker,
  pauseWorker,
  freezeRedis,
  hangEngine,
  killApi,
  restartRedis,
  poison,
  drainWorker,
  overload,
  sameRequest,
  fullRedis,
];
