import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { ConfigError, type WorkerConfig, workerConfig } from '@shoal/config';
import { ShoalError } from '@shoal/protocol';
import { createLogger, toggleLevelOnSignal } from '@shoal/telemetry';
import type { ObservationParts } from './observation.ts';
import { EXIT, Worker } from './worker.ts';

/** One worker process: configuration by environment and `.env`, drain on SIGTERM and SIGINT. */
async function main(): Promise<void> {
  const config = readConfig();
  const id = `${hostname().slice(0, 32)}-${process.pid}-${randomUUID().slice(0, 4)}`;
  const fields = { worker: id, model: config.modelName };
  const logger = createLogger({ name: 'worker', level: config.logLevel, fields });
  // Before the model is fetched and loaded, which may take long: unheeded, the signal ends a process.
  toggleLevelOnSignal(logger);
  const leaving = new AbortController();
  const leave = (signal: NodeJS.Signals): void => {
    logger.info({ signal, timeoutMs: config.drainTimeoutMs }, 'draining: no new jobs; a second signal exits at once');
    process.once(signal, () => process.exit(EXIT.interrupted));
    leaving.abort();
  };
  // Before the model, which may take long to come: as process 1 of a container nobody else would see to the signals.
  process.once('SIGTERM', leave);
  process.once('SIGINT', leave);
  const worker = await start({ id, config, logger }, leaving.signal);
  const drain = (): void => void worker.drain().then(() => process.exit(EXIT.ok));
  if (leaving.signal.aborted) drain();
  else leaving.signal.addEventListener('abort', drain);
}

function readConfig(): Readonly<WorkerConfig> {
  try {
    return workerConfig();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(EXIT.badStart);
  }
}

async function start(parts: ObservationParts, leaving: AbortSignal): Promise<Worker> {
  const { logger } = parts;
  try {
    return await Worker.start(parts, leaving);
  } catch (error) {
    if (leaving.aborted) {
      logger.info('stopped before the model was there');
      process.exit(EXIT.ok);
    }
    // What a person can mend is one line; anything else keeps its stack.
    if (error instanceof ShoalError) logger.fatal(error.message);
    else logger.fatal(error);
    process.exit(EXIT.badStart);
  }
}

await main();
