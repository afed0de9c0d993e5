import { randomInt, randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { apiConfig, apiTable, ConfigError, describeConfig } from '@shoal/config';
import { openTenantLedger, openWebhookOutbox } from '@shoal/queue';
import { createApiMetrics, createLogger, startTracing, toggleLevelOnSignal } from '@shoal/telemetry';
import { modelSamples } from './model-samples.ts';
import { installTracing } from './plugins/tracing.ts';
import { RedisModels } from './redis-models.ts';
import { buildServer } from './server.ts';
import { WebhookDispatcher } from './webhooks/dispatcher.ts';

/** The production process: settings from the environment, one server, a graceful end. */
async function main(): Promise<void> {
  const config = apiConfig();
  const logger = createLogger({ name: 'api', level: config.logLevel });
  toggleLevelOnSignal(logger);
  const { redisUrl, queuePrefix, maxQueueSize, maxQueueWaitMs, resultTtlS, durability } = config;
  const models = new RedisModels({
    redisUrl,
    prefix: queuePrefix,
    maxQueueSize,
    maxQueueWaitMs,
    resultTtlS,
    durability,
    onReused: (model, kind) => metrics.cacheHits.inc({ model, kind }),
  });
  const metrics = createApiMetrics(() => modelSamples(models), { enabled: config.metrics === 'on' });
  const ledger = openTenantLedger({ redisUrl, prefix: queuePrefix });
  const server = buildServer({
    config,
    models,
    metrics,
    logger,
    ledger,
    clock: Date.now,
    randomId: randomUUID,
    randomSeed: () => randomInt(2 ** 48 - 1),
  });

  const webhooks = new WebhookDispatcher({
    config,
    models,
    openOutbox: (model) => openWebhookOutbox({ redisUrl, prefix: queuePrefix, model }),
    logger,
    clock: Date.now,
    random: Math.random,
  });
  // What is signed by nobody was promised by others: they tell it.
  if (config.webhookSecret.length > 0) webhooks.start();

  const tracing = await startTracing({
    service: 'shoal-api',
    instance: `${hostname()}-${process.pid}`,
    endpoint: config.otlpEndpoint,
    headers: config.otlpHeaders,
    sample: config.traceSample,
    logger,
  });
  if (tracing !== undefined) installTracing(server.app, tracing.server);

  let closing = false;
  const close = async (signal: string): Promise<void> => {
    if (closing) return;
    closing = true;
    logger.info({ signal, timeoutMs: config.shutdownTimeoutMs }, 'finishing requests in flight');
    await server.close(config.shutdownTimeoutMs);
    await webhooks.close();
    ledger.close();
    await models.close();
    await tracing?.close();
    logger.info('bye');
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void close(signal));

  logger.info({ settings: describeConfig(apiTable, config) }, 'starting');
  models.ping().catch((error: Error) => logger.warn(`not ready: ${error.message}`));
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
