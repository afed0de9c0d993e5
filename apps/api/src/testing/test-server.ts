import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { apiConfig } from '@shoal/config';
import { createApiMetrics, createLogger } from '@shoal/telemetry';
import type { ServerDeps } from '../deps.ts';
import { modelSamples } from '../model-samples.ts';
import { type ApiServer, buildServer } from '../server.ts';
import { MemoryModel, MemoryModels } from './memory-models.ts';

export interface TestServer extends ApiServer {
  readonly models: MemoryModels;
  readonly model: MemoryModel;
  /** What was logged. */
  readonly log: string[];
}

/** A server over a queue in memory, with a clock that stands still, ids `r1`, `r2`, … and seed 42. */
export function testServer(
  options: { env?: Record<string, string>; model?: MemoryModel; deps?: Partial<ServerDeps> } = {},
): TestServer {
  const model = options.model ?? new MemoryModel();
  const models = new MemoryModels(model);
  const log: string[] = [];
  let ids = 0;
  const server = buildServer({
    config: apiConfig({ env: options.env ?? {}, cwd: mkdtempSync(join(tmpdir(), 'shoal-api-')) }),
    models,
    metrics: createApiMetrics(() => modelSamples(models)),
    logger: createLogger({ name: 'api', level: 'debug', destination: { write: (line) => log.push(line) } }),
    clock: () => 1_700_000_000_000,
    randomId: () => {
      ids += 1;
      return `r${ids}`;
    },
    randomSeed: () => 42,
    ...options.deps,
  });
  return { ...server, models, model, log };
}

/** The events of a server-sent stream: the data of each, parsed where it is JSON. */
export function eventsOf(body: string): unknown[] {
  return body
    .split('\n\n')
    .flatMap((block) => block.split('\n').filter((line) => line.startsWith('data: ')))
    .map((line) => line.slice('data: '.length))
    .map((data) => (data === '[DONE]' ? data : JSON.parse(data)));
}
