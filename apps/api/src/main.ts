import { randomInt, randomUUID } from 'node:crypto';
import { apiConfig, apiTable, ConfigError, describeConfig } from '@shoal/config';
import { createApiMetrics, createLogger } from '@shoal/telemetry';
import { queueDepths } from './queue-depths.ts';
import { RedisModels } from './redis-models.ts';
import { buildServer } from './server.ts';

/** The production process: settings from the environment, one server, a graceful end. */
async function main(): Promise<void> {
  const config = apiConfig();
  const logger = createLogger({ name: 'api', level: config.logLevel });
  const { redisUrl, queuePrefix, maxQueueSize, maxQueueWaitMs, resultTtlS, durability } = config;
  const models = new RedisModels({
    redisUrl,
    prefix: queuePrefix,
    maxQueueSize,
    maxQueueWaitMs,
    resultTtlS,
    durability,
  });
  const server = buildServer({
    config,
    models,
    metrics: createApiMetrics(() => queueDepths(models)),
    logger,
    clock: Date.now,
    randomId: randomUUID,
    randomSeed: () => randomInt(2 ** 48 - 1),
  });

  let closing = false;
  const close = async (signal: string): Promise<void> => {
    if (closing) return;
    closing = true;
    logger.info({ signal, timeoutMs: config.shutdownTimeoutMs }, 'finishing requests in flight');
    await server.close(config.shutdownTimeoutMs);
    await models.close();
    logger.info('bye');
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void close(signal));

  logger.debug(describeConfig(apiTable, config), 'settings');
  const listenTextResolver = (address: string): string => `listening on ${address}`;
  await server.app.listen({ host: config.host, port: config.port, listenTextResolver });
}

main().catch((error: unknown) => {
  process.stderr.write(`${startFailure(error)}\n`);
  process.exit(1);
});

/** One clear line (or one per setting) that says what to do. */
function startFailure(error: unknown): string {
  if (error instanceof ConfigError) return error.message;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE') return 'PORT is in use by another process; stop it, or set PORT to another one';
  if (code === 'EACCES') return 'PORT may not be opened by this user; set PORT to one above 1023';
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
    return 'HOST is not an address of this machine; set HOST to one that is';
  return `the API did not start: ${message}`;
}
